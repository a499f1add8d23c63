"""Deliveries in PostgreSQL: each method is one statement of queries.sql."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from pathlib import Path
from typing import Any

from infra.postgres import Database, announce, queries
from mesh.model import UserId
from services.notifications.domain.deliveries import Delivery, Outcome, Reason, State

sql = queries(Path(__file__).with_name("queries.sql"))
_NAMES = frozenset(field.name for field in fields(Delivery))


class PostgresStore:
    """A `services.notifications.domain.deliveries.Store`."""

    def __init__(self, database: Database) -> None:
        self.database = database

    async def add(self, delivery: Delivery) -> None:
        announce()  # wakes whoever sends, after the commit
        async with self.database.connection() as connection:
            await sql.add(
                connection,
                delivery_id=delivery.delivery_id,
                event_id=delivery.event_id,
                channel=delivery.channel,
                kind=delivery.kind,
                user_id=delivery.user_id,
                mail_id=delivery.mail_id,
                variables=json.dumps(dict(delivery.variables)),
                repeatable=delivery.repeatable,
                create_time=delivery.create_time,
                not_before=delivery.not_before,
            )

    async def claim(self, now: datetime, until: datetime) -> Delivery | None:
        async with self.database.connection() as connection:
            found = await sql.claim(connection, now=now, lease=until)
        return _delivery(found) if found else None

    async def crowd(self, delivery_id: str, kind: str, user_id: UserId, recipient: str, since: datetime) -> int:
        whom = {"delivery_id": delivery_id, "kind": kind, "user_id": user_id, "recipient": recipient}
        async with self.database.connection() as connection:
            return int(await sql.crowd(connection, **whom, since=since))

    async def settle(self, delivery_id: str, outcome: Outcome, now: datetime) -> None:
        async with self.database.connection() as connection:
            await sql.settle(
                connection,
                delivery_id=delivery_id,
                state=outcome.state,
                reason=outcome.reason,
                not_before=outcome.not_before,
                now=now,
            )

    async def sweep(self, now: datetime) -> int:
        async with self.database.connection() as connection:
            return int(await sql.sweep(connection, now=now))

    async def list_deliveries(self, user_id: str, event_id: str, kind: str, size: int) -> Sequence[Delivery]:
        asked = {"user_id": user_id, "event_id": event_id, "kind": kind, "size": size}
        async with self.database.connection() as connection:
            return [_delivery(found) async for found in sql.list_deliveries(connection, **asked)]


def _delivery(found: Mapping[str, Any]) -> Delivery:
    values = {name: value for name, value in found.items() if name in _NAMES}
    read = {"state": State(found["state"]), "reason": Reason(found["reason"])}
    return Delivery(**(values | read | {"variables": json.loads(found["variables"])}))
