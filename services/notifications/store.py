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
from services.notifications.domain.deliveries import Decision, Delivery, Outcome, Reason, State

sql = queries(Path(__file__).with_name("queries.sql"))
_NAMES = frozenset(field.name for field in fields(Delivery))


class PostgresStore:
    """A `services.notifications.domain.deliveries.Store`."""

    def __init__(self, database: Database) -> None:
        self.database = database

    async def add(self, delivery: Delivery) -> bool:
        announce()  # wakes whoever sends, after the commit
        async with self.database.connection() as connection:
            new = await sql.add(
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
                held_until=delivery.held_until,
            )
        return bool(new)

    async def claim(self, now: datetime, until: datetime) -> Delivery | None:
        async with self.database.connection() as connection:
            found = await sql.claim(connection, now=now, lease=until)
        return _delivery(found) if found else None

    async def crowd(self, delivery_id: str, kind: str, user_id: UserId, recipient: str, since: datetime) -> int:
        whom = {"delivery_id": delivery_id, "kind": kind, "user_id": user_id, "recipient": recipient}
        async with self.database.connection() as connection:
            return int(await sql.crowd(connection, **whom, since=since))

    async def settle(self, delivery: Delivery, outcome: Outcome, now: datetime) -> None:
        async with self.database.connection() as connection:
            await sql.settle(
                connection,
                delivery_id=delivery.delivery_id,
                was=delivery.state,
                attempts=delivery.attempts,
                state=outcome.state,
                reason=outcome.reason,
                not_before=outcome.not_before,
                held_until=outcome.held_until,
                decision=_decision(outcome, now),
                now=now,
            )

    async def collect(self, delivery: Delivery, outcome: Outcome, digest: Delivery, now: datetime) -> None:
        async with self.database.transaction() as connection:
            ours = {"delivery_id": delivery.delivery_id, "was": delivery.state, "attempts": delivery.attempts}
            if not await sql.lock_ours(connection, **ours):
                return
            await self.add(digest)
            await sql.collect(
                connection,
                delivery_id=delivery.delivery_id,
                event_id=digest.event_id,
                user_id=digest.user_id,
                channel=digest.channel,
                reason=outcome.reason,
                not_before=outcome.not_before,
                decision=_decision(outcome, now),
            )

    async def collected(self, digest_id: str) -> Sequence[Delivery]:
        async with self.database.connection() as connection:
            return [_delivery(found) async for found in sql.collected(connection, digest_id=digest_id)]

    async def told(self, delivery: Delivery, kinds: Sequence[str], since: datetime) -> int:
        same = {name: getattr(delivery, name) for name in ("delivery_id", "user_id", "channel")}
        async with self.database.connection() as connection:
            return int(await sql.told(connection, **same, kinds=list(kinds), since=since))

    async def suppress(self, recipient: str, now: datetime) -> None:
        async with self.database.connection() as connection:
            await sql.suppress(connection, recipient=recipient, now=now)

    async def suppressed(self, recipient: str) -> bool:
        async with self.database.connection() as connection:
            return bool(await sql.suppressed(connection, recipient=recipient))

    async def sweep(self, now: datetime) -> int:
        async with self.database.connection() as connection:
            return int(await sql.sweep(connection, now=now))

    async def list_deliveries(self, user_id: str, event_id: str, kind: str, size: int) -> Sequence[Delivery]:
        asked = {"user_id": user_id, "event_id": event_id, "kind": kind, "size": size}
        async with self.database.connection() as connection:
            return [_delivery(found) async for found in sql.list_deliveries(connection, **asked)]


def _delivery(found: Mapping[str, Any]) -> Delivery:
    values = {name: value for name, value in found.items() if name in _NAMES}
    read = {
        "state": State(found["state"]),
        "reason": Reason(found["reason"]),
        "variables": json.loads(found["variables"]),
        "history": tuple(map(_decided, json.loads(found["history"]))),
    }
    return Delivery(**(values | read))


def _decision(outcome: Outcome, now: datetime) -> str:
    until = outcome.not_before and outcome.not_before.isoformat()
    return json.dumps({"time": now.isoformat(), "state": outcome.state, "reason": outcome.reason, "until": until})


def _decided(found: Mapping[str, str]) -> Decision:
    until = found.get("until")
    return Decision(
        time=datetime.fromisoformat(found["time"]),
        state=State(found["state"]),
        reason=Reason(found["reason"]),
        until=datetime.fromisoformat(until) if until else None,
    )
