"""Inboxes in PostgreSQL: each method is one statement of queries.sql."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from infra.postgres import Database, queries
from mesh.model import UserId
from services.notifications.inbox.domain import Message, State

sql = queries(Path(__file__).with_name("queries.sql"))


class PostgresInboxes:
    """A `services.notifications.inbox.domain.Store`."""

    def __init__(self, database: Database) -> None:
        self.database = database

    async def add(self, user_id: UserId, kind: str, variables: Mapping[str, str], now: datetime, most: int) -> int:
        values = {"kind": kind, "variables": json.dumps(dict(variables)), "now": now, "most": most}
        async with self.database.connection() as connection:
            return int(await sql.add(connection, user_id=user_id, **values))

    async def page(self, user_id: UserId, before: int, limit: int, *, unread_only: bool) -> Sequence[Message]:
        query = {"before": before, "unread_only": unread_only, "limit": limit}
        async with self.database.connection() as connection:
            return [_message(found) async for found in sql.page(connection, user_id=user_id, **query)]

    async def after(self, user_id: UserId, number: int, limit: int) -> Sequence[Message]:
        async with self.database.connection() as connection:
            found = sql.after(connection, user_id=user_id, number=number, limit=limit)
            return [_message(row) async for row in found]

    async def state(self, user_id: UserId) -> State:
        async with self.database.connection() as connection:
            found = await sql.state(connection, user_id=user_id)
        return State(**found) if found else State()

    async def versions(self, user_ids: Collection[UserId]) -> Mapping[UserId, int]:
        async with self.database.connection() as connection:
            found = sql.versions(connection, user_ids=list(user_ids))
            return {UserId(row["user_id"]): row["version"] async for row in found}

    async def mark_read(self, user_id: UserId, numbers: Sequence[int], up_to: int, now: datetime) -> int:
        which = {"numbers": list(numbers), "up_to": up_to, "now": now}
        async with self.database.connection() as connection:
            return int(await sql.mark_read(connection, user_id=user_id, **which))


def _message(found: Mapping[str, Any]) -> Message:
    return Message(**{**found, "variables": json.loads(found["variables"])})
