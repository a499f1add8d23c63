"""Where events wait: those whose handler failed, those behind them, those that came early; and where they end.

Parked events of one aggregate keep their order. A dead one holds nobody up.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import random
import time
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, TypeAlias

import structlog
from nats.aio.msg import Msg
from tulle.event.v1 import event_pb2

from infra import limits
from infra.events.handling import HandlerFailed, Handlers
from infra.events.received import Unreadable
from infra.events.statements import inbox as sql
from infra.postgres import Connection, Database

log = structlog.get_logger(__name__)
Record: TypeAlias = Mapping[str, Any]


class Parking:
    """The parked events of one workload, and the dead letters."""

    def __init__(self, database: Database, handlers: Handlers) -> None:
        self._database = database
        self._handlers = handlers
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Say that a parked event may now be in turn."""
        self._woken.set()

    async def early(self, connection: Connection, event: event_pb2.Event, previous: int) -> None:
        """Let an event wait until those before it have had their effect, or for EARLY_PATIENCE."""
        await _park(connection, event, previous, pause=limits.EARLY_PATIENCE)
        self.wake()

    async def failed(self, event: event_pb2.Event, previous: int | None, error: HandlerFailed) -> None:
        """Take responsibility for an event whose first try failed and was undone."""
        log.warning("event_parked", event_id=event.event_id, type=event.type, error=str(error))

        async def park() -> None:
            async with self._database.connection() as connection:
                if (await sql.receive(connection, **place(event), previous=0))["is_new"]:
                    await _park(connection, event, previous, attempts=1, error=str(error), pause=1.0)

        await self._database.run(park)

    async def bury(self, message: Msg, error: Unreadable) -> None:
        """Make a dead letter of a message that is no event."""
        metadata, subject = message.metadata, _kept(message.subject)
        log.error("event_unreadable", subject=subject, stream_seq=metadata.sequence.stream, error=_kept(str(error)))
        async with self._database.connection() as connection:
            await sql.bury(
                connection,
                event_id=f"{metadata.stream}:{metadata.sequence.stream}",
                source=metadata.stream,
                type=subject,
                envelope=message.data,
                error=_kept(str(error)),
            )

    async def run(self) -> None:
        """Retry until cancelled."""
        while True:
            self._woken.clear()
            try:
                rest = limits.PARKED_REST * await self._retry_all()
            except Exception as error:
                log.warning("retry_failed", exc_info=error)
                rest = limits.RETRY_LONGEST * random.random()
            await asyncio.sleep(rest)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(limits.PARKED_POLL):
                    await self._woken.wait()

    async def _retry_all(self) -> float:
        """Try what is in turn until there is nothing; how many seconds the look took that found nothing."""
        while True:
            began = time.monotonic()
            if not await self.retry_lane():
                return time.monotonic() - began

    async def retry_lane(self) -> bool:
        """Try a parked event whose turn it is, and those behind it while it goes well; whether there was one."""
        tried = await self._database.run(self._retry)
        lane = tried
        while lane is not None:
            lane = await self._database.run(functools.partial(self._retry, lane))
        return tried is not None

    async def _retry(self, lane: Record | None = None) -> Record | None:
        async with self._database.connection() as connection:
            row = await _next(connection, lane)
            if row is None:
                return None
            if row["attempts"] == 0 and not row["preceded"]:
                log.error("event_without_predecessor", event_id=row["event_id"], previous=row["previous"])
            try:
                async with self._database.savepoint():
                    await self._handlers.handle(event_pb2.Event.FromString(row["envelope"]))
            except HandlerFailed as error:
                await _failed_again(connection, row, error)
            else:
                await sql.unpark(connection, event_id=row["event_id"])
            return row


async def _next(connection: Connection, lane: Record | None) -> Record | None:
    found: Record | None
    if lane:
        found = await sql.next_behind(connection, **_key(lane))
    else:
        found = await sql.next_due(connection) or await sql.next_untried(connection)
    return found


def _kept(text: str) -> str:
    """As PostgreSQL takes it, and not without end."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")[: limits.ERROR_KEPT]


def place(event: event_pb2.Event) -> dict[str, Any]:
    """An event's identity and its place in its aggregate's history, as parameters."""
    return {
        "event_id": event.event_id,
        "source": event.source,
        "resource": event.resource,
        "aggregate_id": event.aggregate_id,
        "aggregate_seq": event.aggregate_seq,
    }


def _key(row: Record) -> dict[str, str]:
    return {name: row[name] for name in ("aggregate_id", "resource", "source")}


async def _park(
    connection: Connection,
    event: event_pb2.Event,
    previous: int | None,
    *,
    pause: float,
    attempts: int = 0,
    error: str = "",
) -> None:
    await sql.park(
        connection,
        **place(event),
        ordered=previous is not None,
        previous=previous or 0,
        type=event.type,
        envelope=event.SerializeToString(),
        attempts=attempts,
        error=error,
        pause=timedelta(seconds=pause),
    )


async def _failed_again(connection: Connection, row: Record, error: HandlerFailed) -> None:
    attempts = row["attempts"] + 1
    # Age alone kills nothing: most of it may have passed behind another one.
    aged = row["age"] > timedelta(seconds=limits.PARKED_LONGEST)
    dead = attempts >= limits.PARKED_ATTEMPTS and (aged or not error.transient)
    if dead:
        log.error("event_dead", event_id=row["event_id"], type=row["type"], error=str(error))
    pause = timedelta(seconds=min(limits.PARKED_PAUSE_LONGEST, 2.0 ** min(attempts - 1, 20)))
    await sql.failed_again(connection, event_id=row["event_id"], error=str(error), pause=pause, dead=dead)
