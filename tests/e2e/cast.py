"""The people of the policy matrix, and the tokens that nobody should have."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from joserfc import jwk, jws
from joserfc.jws import JWSRegistry

from tests.e2e.matrix import Cell, Holder
from tests.e2e.people import Person
from tests.e2e.stacks import Stack

ENDS_THE_SESSION = ("LogOut", "RevokeAllSessions")
GENUINE = (Holder.USER, Holder.OTHER, Holder.ADMINISTRATOR)
ANY = JWSRegistry(algorithms=["none", "HS256", "RS256", "ES256"])


@dataclass
class Cast:
    """`staying` have tokens for the whole run, `leaving` log in anew for each call that logs them out."""

    staying: Mapping[Holder, Person]
    leaving: Mapping[Holder, Person]
    false: Mapping[Holder, str]

    async def authorization(self, cell: Cell) -> list[tuple[str, str]]:
        """The metadata with which the cell's holder calls."""
        if cell.holder is Holder.NOBODY:
            return []
        return [("authorization", f"Bearer {await self._token(cell)}")]

    async def _token(self, cell: Cell) -> str:
        if not cell.holder.genuine:
            return self.false[cell.holder]
        if cell.method.name not in ENDS_THE_SESSION:
            return self.staying[cell.holder].token
        await self.leaving[cell.holder].log_in()
        return self.leaving[cell.holder].token


async def gather(stack: Stack) -> list[dict[Holder, Person]]:
    """Two sets of people: one to stay and one to leave."""
    sets = [{holder: await stack.person().arrive() for holder in GENUINE} for _ in range(2)]
    for people in sets:
        await stack.appoint(people[Holder.ADMINISTRATOR])
        await people[Holder.ADMINISTRATOR].log_in()
    return sets


def false_tokens(genuine: str, others: str, keys: Mapping[str, Any], signing: jwk.ECKey) -> dict[Holder, str]:
    """Tokens to be refused, made from a genuine one.

    `others`: the genuine token of somebody with more rights. `keys`: the published key set.
    `signing`: the platform's own private key, as only a leak would hand it out.
    """
    header, claims = _decoded(genuine)
    kid, public = header["kid"], next(key for key in keys["keys"] if key["kid"] == header["kid"])
    pem = jwk.ECKey.import_key(public).as_pem(private=False)
    own = jwk.ECKey.generate_key("P-256")
    return {
        Holder.EXPIRED: _signed(header, claims | {"iat": claims["iat"] - 900, "exp": claims["iat"] - 600}, signing),
        Holder.WRONG_AUDIENCE: _signed(header, claims | {"aud": "elsewhere"}, signing),
        Holder.ALG_NONE: f"{_encoded(header | {'alg': 'none'})}.{_encoded(claims)}.",
        Holder.PUBLIC_KEY_AS_SECRET: _with_hmac(header | {"alg": "HS256"}, claims, pem),
        Holder.OTHER_ALGORITHM: _signed(header | {"alg": "RS256"}, claims, jwk.RSAKey.generate_key(2048)),
        Holder.UNKNOWN_KID: _signed(header | {"kid": "unknown"}, claims, own),
        Holder.UNKNOWN_KEY: _signed(header | {"kid": kid}, claims, own),
        Holder.OTHERS_SIGNATURE: ".".join([*others.split(".")[:2], genuine.split(".")[2]]),
    }


def _signed(header: Mapping[str, Any], claims: Mapping[str, Any], key: Any) -> str:
    return jws.serialize_compact(dict(header), json.dumps(claims), key, registry=ANY)


def _with_hmac(header: Mapping[str, Any], claims: Mapping[str, Any], secret: bytes) -> str:
    """By hand: no decent library takes a public key for a secret."""
    signed = f"{_encoded(header)}.{_encoded(claims)}"
    return f"{signed}.{_base64(hmac.digest(secret, signed.encode(), hashlib.sha256))}"


def _encoded(part: Mapping[str, Any]) -> str:
    return _base64(json.dumps(part).encode())


def _base64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _decoded(token: str) -> list[dict[str, Any]]:
    parts = (part + "=" * (-len(part) % 4) for part in token.split(".")[:2])
    return [json.loads(base64.urlsafe_b64decode(part)) for part in parts]
