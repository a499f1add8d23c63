"""Endpoints and pushes in PostgreSQL."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from infra.postgres import Database, queries
from mesh.model import UserId, new_id, require
from services.notifications.push.domain import (
    ENDPOINTS_MOST,
    Endpoint,
    EndpointTaken,
    Keys,
    Outcome,
    Push,
    State,
    TooManyEndpoints,
)

sql = queries(Path(__file__).with_name("queries.sql"))


class PostgresPushes:
    """A `services.notifications.push.domain.Store`."""

    def __init__(self, database: Database) -> None:
        self.database = database

    async def register(self, endpoint: Endpoint, most: int) -> Endpoint:
        async def once() -> Endpoint:
            async with self.database.connection() as connection:
                await sql.lock(connection, user_id=endpoint.user_id)
                others = await sql.count_others(connection, user_id=endpoint.user_id, url=endpoint.url)
                require(others < most, TooManyEndpoints)
                found = await sql.register(connection, **_row(endpoint))
            require(found, EndpointTaken)
            return _endpoint(found)

        return await self.database.run(once)

    async def endpoints(self, user_id: UserId) -> Sequence[Endpoint]:
        async with self.database.connection() as connection:
            return [_endpoint(found) async for found in sql.endpoints(connection, user_id=user_id)]

    async def remove(self, user_id: UserId, endpoint_id: str) -> bool:
        async with self.database.connection() as connection:
            return bool(await sql.remove(connection, user_id=user_id, endpoint_id=endpoint_id))

    async def add(self, user_id: UserId, kind: str, variables: Mapping[str, str], number: int, now: datetime) -> int:
        # As many ids as there may be endpoints; the statement takes those that it needs.
        ids = [new_id("push", now.timestamp()) for _ in range(ENDPOINTS_MOST)]
        values = {"kind": kind, "variables": json.dumps(dict(variables)), "number": number, "now": now}
        async with self.database.connection() as connection:
            return int(await sql.add(connection, push_ids=ids, user_id=user_id, **values))

    async def claim(self, now: datetime, until: datetime) -> Push | None:
        async with self.database.connection() as connection:
            found = await sql.claim(connection, now=now, until=until)
        return _push(found) if found else None

    async def settle(self, push: Push, outcome: Outcome, now: datetime) -> None:
        which = {"push_id": push.push_id, "attempts": push.attempts, "endpoint_id": push.endpoint.endpoint_id}
        said = {"state": str(outcome.state), "what": outcome.what, "again": outcome.again}
        async with self.database.connection() as connection:
            await sql.settle(connection, **which, **said, now=now)

    async def sweep(self, now: datetime) -> int:
        async with self.database.connection() as connection:
            return int(await sql.sweep(connection, now=now))


def _row(endpoint: Endpoint) -> dict[str, Any]:
    return {
        "endpoint_id": endpoint.endpoint_id,
        "user_id": endpoint.user_id,
        "url": endpoint.url,
        "p256dh": endpoint.keys.p256dh,
        "auth": endpoint.keys.auth,
        "create_time": endpoint.create_time,
    }


def _endpoint(found: Mapping[str, Any]) -> Endpoint:
    return Endpoint(
        endpoint_id=found["endpoint_id"],
        user_id=UserId(found["user_id"]),
        url=found["url"],
        keys=Keys(found["p256dh"], found["auth"]),
        create_time=found["create_time"],
        last_state=State(found["last_state"]) if found["last_state"] else None,
        last_time=found["last_time"],
    )


def _push(found: Mapping[str, Any]) -> Push:
    variables = json.loads(found["variables"])
    kept = {name: found[name] for name in ("push_id", "kind", "number", "attempts")}
    return Push(endpoint=_endpoint(found), variables=variables, create_time=found["push_time"], **kept)
