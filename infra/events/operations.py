"""What an operator may ask of a service's events: its dead letters, and publishing again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from tulle.event.v1 import event_pb2

from infra.events.statements import inbox, outbox
from infra.postgres import Database


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An event that a workload could not consume. `event` is None where no envelope could be read."""

    event_id: str
    type: str
    source: str
    attempts: int
    error: str
    dead_at: datetime
    event: event_pb2.Event | None


@dataclass(frozen=True, slots=True)
class Backlog:
    """How many events wait: to be published, to be tried again, for an operator."""

    unpublished: int
    parked: int
    dead: int


async def dead_letters(database: Database, after: str = "", size: int = 100) -> list[DeadLetter]:
    """The next dead letters in order of their ids, after the one with the id `after`."""
    async with database.connection() as connection:
        rows = inbox.dead(connection, after=after, size=size)
        return [
            DeadLetter(
                event_id=row["event_id"],
                type=row["type"],
                source=row["source"],
                attempts=row["attempts"],
                error=row["error"],
                dead_at=row["dead_at"],
                event=event_pb2.Event.FromString(row["envelope"]) if row["aggregate_id"] else None,
            )
            async for row in rows
        ]


async def redrive(database: Database, event_ids: Sequence[str]) -> int:
    """Try dead letters again, from their first attempt; how many there were. Unreadable ones stay dead."""
    async with database.connection() as connection:
        return int(await inbox.redrive(connection, event_ids=list(event_ids)))


async def republish(database: Database, since: datetime) -> int:
    """Publish again what was published at or after `since`, as far back as OUTBOX_KEEP; how many events.

    Consumers that had them do nothing. The relay finds them within RELAY_POLL.
    """
    async with database.connection() as connection:
        return int(await outbox.republish(connection, since=since.astimezone(UTC)))


async def backlog(database: Database) -> Backlog:
    """What waits in a service's schema."""
    async with database.connection() as connection:
        unpublished = await outbox.unpublished(connection)
        waiting = await inbox.waiting(connection)
    return Backlog(unpublished, waiting["parked"], waiting["dead"])
