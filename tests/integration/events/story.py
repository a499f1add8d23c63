"""What the tests of events tell and look at: accounts, and the effects that their events had."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tulle.auth.v1 import events_pb2

from infra.events.outbox import row
from infra.events.received import Received, Subscriptions
from infra.postgres import Database
from mesh import model

ORGANISATION = model.OrganisationId("org_1")


@dataclass(frozen=True, slots=True)
class AccountCreated(model.Event):
    """An event that users consumes."""

    type = "tulle.auth.v1.AccountCreated"
    resource = "account"
    user_id: str = ""


@dataclass(frozen=True, slots=True)
class RolesChanged(model.Event):
    """An event of the same aggregates that nobody consumes."""

    type = "tulle.auth.v1.RolesChanged"
    resource = "account"
    user_id: str = ""
    roles: tuple[str, ...] = ()


async def happen(
    database: Database,
    aggregate: str,
    seq: int,
    kind: type[AccountCreated | RolesChanged] = AccountCreated,
    publish_at: datetime | None = None,
) -> str:
    """Commit one event; its id."""
    event = row(kind(aggregate, ORGANISATION, "test", user_id=aggregate), publish_at)
    async with database.connection() as connection:
        await connection.execute("INSERT INTO outbox SELECT ($1::new_event).*, $2::bigint", event, seq)
    return str(event[0])


def noting(database: Database, before: Any = None, after: Any = None) -> Subscriptions:
    """A handler whose effect is a row; nothing but the inbox keeps it from having it twice."""

    async def note(event: Received) -> None:
        if before is not None:
            await before(event)
        async with database.connection() as connection:
            await connection.execute(
                "INSERT INTO effects (event_id, aggregate_id, aggregate_seq) VALUES ($1, $2, $3)",
                event.event_id,
                event.aggregate_id,
                event.aggregate_seq,
            )
        if after is not None:
            await after(event)

    return {events_pb2.AccountCreated: note}


async def effects(database: Database) -> list[tuple[str, int]]:
    """(aggregate, seq) of all effects in the order in which they were made."""
    async with database.connection() as connection:
        rows = await connection.fetch("SELECT aggregate_id, aggregate_seq FROM effects ORDER BY place")
    return [(row["aggregate_id"], row["aggregate_seq"]) for row in rows]


def histories(made: Iterable[tuple[str, int]]) -> dict[str, list[int]]:
    """By aggregate its effects in order."""
    found: dict[str, list[int]] = defaultdict(list)
    for aggregate, seq in made:
        found[aggregate].append(seq)
    return dict(found)


async def count(database: Database, query: str) -> int:
    """The one number that a query answers."""
    async with database.connection() as connection:
        return int(await connection.fetchval(query))
