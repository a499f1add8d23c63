"""Keys that change while everybody goes on verifying."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from infra.postgres import Database
from mesh.limits import TOKEN_LIFE
from mesh.model import OrganisationId, SessionId, Unavailable, UserId
from services.auth.domain.entities import Session, SignedIn
from services.auth.keys import KEPT_AFTER, KEY_LIFE, PUBLISHED_BEFORE, KeyRing
from services.auth.sealing import AesBox

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
ADA = SignedIn(
    session=Session(
        session_id=SessionId("session_1"),
        user_id=UserId("user_ada"),
        device="",
        create_time=NOON,
        refresh_time=NOON,
        expire_time=NOON,
    ),
    organisation_id=OrganisationId("organisation_1"),
    roles=frozenset({"administrator"}),
)


class Ring(KeyRing):
    """A key ring whose clock is set."""

    def __init__(self, database: Database) -> None:
        self.now = NOON
        super().__init__(database, AesBox("key"), "http://issuer", lambda: self.now)

    async def after(self, seconds: float) -> set[str]:
        """The published key ids, that much later."""
        self.now += timedelta(seconds=seconds)
        await self.refresh()
        return {key["kid"] for key in (await self.jwks())["keys"]}

    async def kid(self) -> str:
        """What signs now."""
        return str((await self.decoded()).header["kid"])

    async def decoded(self) -> jwt.Token:
        token, _ = await self.access_token(ADA)
        keys = KeySet.import_key_set(await self.jwks())  # type: ignore[arg-type]
        return jwt.decode(token, keys, algorithms=["ES256"])


async def test_a_token_says_what_rfc_9068_asks(database: Database) -> None:
    """An access token is `at+jwt` with issuer, audience, subject and at most five minutes of life."""
    ring = Ring(database)
    with pytest.raises(Unavailable):
        await ring.ready()
    await ring.after(0)
    token = await ring.decoded()
    assert (token.header["typ"], token.header["alg"]) == ("at+jwt", "ES256")
    claims = token.claims
    assert (claims["iss"], claims["aud"], claims["sub"]) == ("http://issuer", "tulle", "user_ada")
    assert (claims["sid"], claims["org"], claims["roles"]) == ("session_1", "organisation_1", ["administrator"])
    assert claims["exp"] - claims["iat"] == TOKEN_LIFE <= 300
    assert claims["jti"]


async def test_keys_change_with_overlap(database: Database) -> None:
    """The next key is published before it signs; the last one stays until its tokens have expired."""
    ring = Ring(database)
    first = await ring.after(0)
    both = await ring.after(KEY_LIFE - PUBLISHED_BEFORE)
    assert (len(both), await ring.kid()) == (2, *first)
    assert await ring.after(PUBLISHED_BEFORE) == both
    assert {await ring.kid()} == both - first
    assert await ring.after(KEPT_AFTER - 1) == both
    assert await ring.after(1) == both - first


async def test_a_long_sleep_leaves_a_key_to_sign_with(database: Database) -> None:
    """After months without a process the old key signs until everybody may know the new one."""
    ring = Ring(database)
    first = await ring.after(0)
    both = await ring.after(10 * KEY_LIFE)
    assert {await ring.kid()} == first < both
    await ring.after(PUBLISHED_BEFORE)
    assert {await ring.kid()} == both - first


async def test_processes_agree(database: Database) -> None:
    """Processes that start together sign with one key, and no private part is published or stored in clear."""
    rings = [Ring(database) for _ in range(4)]
    found = await asyncio.gather(*(ring.after(0) for ring in rings))
    assert all(len(one) == 1 and one == found[0] for one in found)
    assert all("d" not in key for key in (await rings[0].jwks())["keys"])
    async with database.connection() as connection:
        assert b"PRIVATE" not in await connection.fetchval("SELECT private_sealed FROM signing_keys")
