"""Ten thousand refreshes at once on a real PostgreSQL."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import Any

from infra.postgres import Database
from mesh.model import Exhausted, OrganisationId, SessionId, Unavailable, UserId, new_id
from services.auth.domain.entities import SESSION_LIFE, Issued, SignedIn
from services.auth.domain.errors import BadRefreshToken, RefreshTokenReused
from services.auth.domain.refresh import RefreshToken
from services.auth.domain.sessions import Sessions
from services.auth.store import PostgresStore

KEY = b"key"
SESSIONS, GENERATIONS = 200, 50


class Unsigned:
    """Signs nothing: what is measured is the rotation."""

    async def access_token(self, signed_in: SignedIn) -> tuple[str, int]:
        return signed_in.session.session_id, 300


@dataclass
class Client:
    """A browser that asks twice, loses answers, and keeps what it has used."""

    sessions: Sessions
    token: str
    chance: random.Random
    spent: list[str] = field(default_factory=list)

    async def live(self) -> None:
        for _ in range(GENERATIONS):
            times = self.chance.choice((1, 1, 2, 3))
            answers = await asyncio.gather(*(refresh(self.sessions, self.token) for _ in range(times)))
            assert len({answer.refresh_token for answer in answers}) == 1
            if self.chance.random() < 0.8:  # else the answer is lost and asked for again
                self.spent.append(self.token)
                self.token = answers[0].refresh_token


async def refresh(sessions: Sessions, token: str) -> Issued:
    while True:
        try:
            return await sessions.refresh(token)
        except (Exhausted, Unavailable):  # no log-out: the client asks again, whatever became of its call
            await asyncio.sleep(0.05)


async def begun(database: Database) -> list[Client]:
    # Refreshing needs neither passwords nor codes.
    unused: dict[str, Any] = dict.fromkeys(one.name for one in fields(Sessions))
    store, signer = PostgresStore(database), Unsigned()
    sessions = Sessions(**unused | {"store": store, "signer": signer, "key": KEY, "now": lambda: datetime.now(UTC)})
    user_id, now = UserId(new_id("user")), datetime.now(UTC)
    async with database.connection() as connection:
        await connection.execute(
            "INSERT INTO accounts (user_id, organisation_id, email, email_key, password_hash, password_length,"
            " create_time) VALUES ($1, $2, 'a@b', 'a@b', '', 20, $3)",
            user_id,
            OrganisationId("organisation_1"),
            now,
        )
    chance = random.Random(7)
    return [await client(database, sessions, user_id, random.Random(chance.random())) for _ in range(SESSIONS)]


async def client(database: Database, sessions: Sessions, user_id: UserId, chance: random.Random) -> Client:
    now = datetime.now(UTC)
    token = RefreshToken.first(SessionId(new_id("session")))
    async with database.connection() as connection:
        await connection.execute(
            "INSERT INTO sessions (session_id, user_id, device, token_hash, create_time, refresh_time, expire_time)"
            " VALUES ($1, $2, '', $3, $4, $4, $5)",
            token.session_id,
            user_id,
            token.hash,
            now,
            now + SESSION_LIFE,
        )
    return Client(sessions, token.sealed(KEY), chance)


async def outcome(client: Client, token: str) -> str:
    try:
        await refresh(client.sessions, token)
    except (RefreshTokenReused, BadRefreshToken) as error:
        return type(error).__name__
    return "refreshed"


async def test_no_false_log_out_and_every_replay_caught(database: Database) -> None:
    """Whoever asks twice or loses an answer stays logged in; whoever replays a spent token ends the session."""
    clients = await begun(database)
    await asyncio.gather(*(one.live() for one in clients))
    assert {await outcome(one, one.token) for one in clients} == {"refreshed"}
    thieves = clients[::2]
    replays = [outcome(one, one.chance.choice(one.spent)) for one in thieves]
    assert set(await asyncio.gather(*replays)) == {"RefreshTokenReused"}
    after = [await outcome(one, one.token) for one in clients]
    assert after == ["BadRefreshToken", "refreshed"] * (SESSIONS // 2)
