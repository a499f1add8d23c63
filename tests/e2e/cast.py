"""The people of the policy matrix, and the tokens that nobody should have."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from joserfc import jws
from joserfc.jwk import ECKey, RSAKey
from joserfc.jws import JWSRegistry

from tests.e2e.api_keys import exchanged, make_key
from tests.e2e.matrix import KEYS, ROLES, Cell, Holder
from tests.e2e.people import Person
from tests.e2e.stacks import Stack

ENDS_THE_SESSION = ("LogOut", "RevokeAllSessions")
ANY = JWSRegistry(algorithms=["none", "HS256", "RS256", "ES256"])


@dataclass
class Cast:
    """`staying` have tokens for the whole run, `leaving` log in anew for each call that logs them out.

    `keys`: tokens that API keys were exchanged for.
    """

    staying: Mapping[Holder, Person]
    leaving: Mapping[Holder, Person]
    false: Mapping[Holder, str]
    keys: Mapping[Holder, str]

    async def authorization(self, cell: Cell) -> list[tuple[str, str]]:
        """The metadata with which the cell's holder calls."""
        if cell.holder is Holder.NOBODY:
            return []
        return [("authorization", f"Bearer {await self._token(cell)}")]

    async def _token(self, cell: Cell) -> str:
        if not cell.holder.genuine:
            return self.false[cell.holder]
        if cell.holder in self.keys:
            return self.keys[cell.holder]
        if cell.method.name not in ENDS_THE_SESSION:
            return self.staying[cell.holder].token
        person = self.leaving[cell.holder]
        there = person.organisation_id
        await person.return_()
        if cell.holder is Holder.MEMBER:
            await person.switch(there)
        return person.token


async def gather(stack: Stack) -> Cast:
    """Let everybody come: those who stay, those who leave, and the tokens that nobody should have."""
    staying, leaving = [
        {holder: await stack.person().arrive() for holder in ROLES if holder not in KEYS} for _ in range(2)
    ]
    for people in (staying, leaving):
        await stack.appoint(people[Holder.ADMINISTRATOR])
        await people[Holder.ADMINISTRATOR].log_in()
        founder = await stack.person().arrive()
        await founder.switch(await founder.found())
        await founder.admit(people[Holder.MEMBER], "ROLE_MEMBER")
        await people[Holder.MEMBER].switch(founder.organisation_id)
    owner = await stack.person().arrive()
    await stack.appoint(owner)
    await owner.log_in()
    by_key = {
        holder: await exchanged(owner, (await make_key(owner, *sorted(may)))["secret"]) for holder, may in KEYS.items()
    }
    genuine, others = staying[Holder.USER], staying[Holder.ADMINISTRATOR]
    keys = (await genuine.rest.get("/.well-known/jwks.json")).json()["keys"]
    kid = _decoded(genuine.token)[0]["kid"]
    public = ECKey.import_key(next(key for key in keys if key["kid"] == kid))
    false = _false_tokens(genuine.token, others.token, public, await stack.signing_key(kid))
    return Cast(staying, leaving, false, by_key)


def _false_tokens(genuine: str, others: str, public: ECKey, private: ECKey) -> dict[Holder, str]:
    """Tokens to be refused, made from a genuine one and that of somebody with more rights."""
    header, claims = _decoded(genuine)
    own = ECKey.generate_key("P-256")
    past = {"iat": claims["iat"] - 900, "exp": claims["iat"] - 600}
    return {
        Holder.EXPIRED: _signed(header, claims | past, private),
        Holder.WRONG_AUDIENCE: _signed(header, claims | {"aud": "elsewhere"}, private),
        Holder.ALG_NONE: f"{_encoded(header | {'alg': 'none'})}.{_encoded(claims)}.",
        Holder.PUBLIC_KEY_AS_SECRET: _with_hmac(header | {"alg": "HS256"}, claims, public.as_pem(private=False)),
        Holder.OTHER_ALGORITHM: _signed(header | {"alg": "RS256"}, claims, RSAKey.generate_key(2048)),
        Holder.UNKNOWN_KID: _signed(header | {"kid": "unknown"}, claims, own),
        Holder.UNKNOWN_KEY: _signed(header, claims, own),
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
