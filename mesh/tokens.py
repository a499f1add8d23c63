"""The end user's access token: a signed JWT (RFC 9068, RFC 8725), verified once and remembered by its hash."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from mesh.model import OrganisationId, SessionId, Unauthenticated, Unavailable, User, UserId

AUDIENCE = "tulle"
TYPE = "at+jwt"
LEEWAY = 5
"""Seconds by which clocks may differ; the gateway uses the same."""
KEYS_FRESH = 300.0
"""Seconds for which a key set is used without asking again."""
REFETCH_PAUSE = 5.0
"""Seconds between two fetches because of an unknown key, whoever asks: tokens are free to forge."""
REMEMBERED = 20_000
"""Verified tokens kept, some 400 bytes each."""

Fetch = Callable[[], Awaitable[dict[str, Any]]]


class BadToken(Unauthenticated):
    """The access token is not valid; log in or refresh."""


class ExpiredToken(BadToken):
    """The access token has expired; refresh it."""


BadToken.reason = ExpiredToken.reason = Unauthenticated.reason


class Keys:
    """A key set with its last good state: in memory for KEYS_FRESH, in a file for the next start."""

    def __init__(self, fetch: Fetch, file: Path | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._fetch, self._file, self._clock = fetch, file, clock
        self._keys: dict[str, Any] = {}
        self._fetched = self._tried = float("-inf")
        self._lock = asyncio.Lock()
        if file is not None and file.exists():
            self._keys = _by_id(json.loads(file.read_text()))

    async def key(self, kid: str) -> Any:
        """The public key with this id. Raises: BadToken if there is none; Unavailable if that cannot be known."""
        if kid not in self._keys or self._clock() - self._fetched > KEYS_FRESH:
            await self._refresh(kid)
        if kid not in self._keys:
            if self._fetched < self._tried or self._fetched == float("-inf"):
                raise Unavailable("The keys that verify tokens cannot be had now; try again.", retry_after=1.0)
            raise BadToken
        return self._keys[kid]

    async def _refresh(self, kid: str) -> None:
        async with self._lock:
            stale = self._clock() - self._fetched > KEYS_FRESH
            if (kid in self._keys and not stale) or self._clock() - self._tried < REFETCH_PAUSE:
                return
            self._tried = self._clock()
            try:
                found = await self._fetch()
            except Exception:
                return
            self._keys, self._fetched = _by_id(found), self._tried
            if self._file is not None:
                self._file.write_text(json.dumps(found))


def _by_id(jwks: dict[str, Any]) -> dict[str, Any]:
    return {key.kid: key for key in KeySet.import_key_set(jwks).keys if key.kid and key.key_type == "EC"}


class TokenVerifier:
    """Turns access tokens into users."""

    def __init__(self, keys: Keys, issuer: str, clock: Callable[[], float] = time.time) -> None:
        self._keys, self._issuer, self._clock = keys, issuer, clock
        self._known: OrderedDict[bytes, tuple[User, float]] = OrderedDict()

    async def verify(self, token: str) -> tuple[User, float]:
        """The user and the Unix time at which the token ends, leeway included.

        Raises: BadToken; ExpiredToken; Unavailable if the keys cannot be had.
        """
        digest = hashlib.sha256(token.encode()).digest()
        known = self._known.get(digest)
        if known is None:
            known = self._known[digest] = await self._verified(token)
            if len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        if known[1] <= self._clock():
            raise ExpiredToken
        return known

    async def _verified(self, token: str) -> tuple[User, float]:
        try:
            key = await self._keys.key(_key_id(token))
            claims = jwt.decode(token, key, algorithms=["ES256"]).claims
            return self._user(claims), float(claims["exp"]) + LEEWAY
        except (JoseError, ValueError, KeyError, TypeError) as error:
            raise BadToken from error

    def _user(self, claims: dict[str, Any]) -> User:
        now = self._clock()
        good = claims["iss"] == self._issuer and claims["aud"] == AUDIENCE and claims["iat"] <= now + LEEWAY
        if not good or claims["exp"] - claims["iat"] > 300:
            raise BadToken
        return User(
            UserId(claims["sub"]), OrganisationId(claims["org"]), SessionId(claims["sid"]), frozenset(claims["roles"])
        )


def _key_id(token: str) -> str:
    """`kid` of the header, which may say nothing else of keys (RFC 8725 3.10). Raises: ValueError, KeyError, TypeError."""
    part = token.split(".", 1)[0]
    header = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    if header["alg"] != "ES256" or header["typ"].lower() != TYPE or set(header) - {"alg", "typ", "kid"}:
        raise BadToken
    return str(header["kid"])
