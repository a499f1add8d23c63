"""The end user's access token: a signed JWT (RFC 9068, RFC 8725), verified once and remembered by its hash."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError

from mesh import limits
from mesh.jwks import Keys
from mesh.limits import LEEWAY
from mesh.model import OrganisationId, SessionId, Unauthenticated, User, UserId

AUDIENCE = "tulle"
ALGORITHM = "ES256"
TYPE = "at+jwt"
_HEADER = frozenset({"alg", "typ", "kid"})

__all__ = ["ALGORITHM", "AUDIENCE", "LEEWAY", "TYPE", "Keys", "TokenVerifier"]


class TokenVerifier:
    """Turns access tokens into users. `clock`: Unix time in seconds."""

    def __init__(self, keys: Keys, issuer: str, clock: Callable[[], float] = time.time) -> None:
        self._keys, self._issuer, self._clock = keys, issuer, clock
        self._known: OrderedDict[bytes, tuple[User, float]] = OrderedDict()

    async def verify(self, token: str) -> tuple[User, float]:
        """The user and the Unix time at which the token ends, leeway included.

        A token that was verified is known until it ends, also when its key goes: at most TOKEN_LIFE.
        Raises: Unauthenticated; Unavailable if the keys cannot be had.
        """
        digest = hashlib.sha256(token.encode()).digest()
        known = self._known.get(digest)
        if known is None:
            known = await self._verified(token)
            self._remember(digest, known)
        if known[1] <= self._clock():
            raise Unauthenticated("The access token has expired; refresh it.")
        return known

    def _remember(self, digest: bytes, known: tuple[User, float]) -> None:
        self._known[digest] = known
        if len(self._known) > limits.TOKENS_KEPT:
            self._known.popitem(last=False)

    async def _verified(self, token: str) -> tuple[User, float]:
        try:
            key = await self._keys.key(_key_id(token))
            claims = jwt.decode(token, key, algorithms=[ALGORITHM]).claims
            return self._user(claims), float(claims["exp"]) + LEEWAY
        except (JoseError, ValueError, KeyError, TypeError) as error:
            raise _bad() from error

    def _user(self, claims: dict[str, Any]) -> User:
        ours = claims["iss"] == self._issuer and claims["aud"] == AUDIENCE
        begun, life = claims["iat"] <= self._clock() + LEEWAY, claims["exp"] - claims["iat"]
        if not (ours and begun and 0 < life <= limits.TOKEN_LIFE):
            raise ValueError("claims")
        sub, org, sid = (_text(claims[name]) for name in ("sub", "org", "sid"))
        # A person's token has no such claim; an empty one, or one that is no list, lets nobody in.
        scopes = _texts(claims["scopes"]) if "scopes" in claims else None
        return User(UserId(sub), OrganisationId(org), SessionId(sid), _texts(claims["roles"]), scopes)


def _key_id(token: str) -> str:
    """`kid` of the header, which may say nothing else of keys: no `jku`, `x5u`, `jwk` (RFC 8725, 3.10).

    Raises: ValueError, KeyError, TypeError.
    """
    if len(token) > limits.TOKEN_BYTES:
        raise ValueError("length")
    part = token.split(".", 1)[0]
    header = _json(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    if header["alg"] != ALGORITHM or header["typ"] != TYPE or set(header) != _HEADER:
        raise ValueError("header")
    return _text(header["kid"])


def _json(text: bytes) -> Any:
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("depth") from None


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError("not a text")
    return value


def _texts(value: Any) -> frozenset[str]:
    if not isinstance(value, list):
        raise TypeError("not a list")
    return frozenset(map(_text, value))


def _bad() -> Unauthenticated:
    return Unauthenticated("The access token is not valid; log in or refresh.")
