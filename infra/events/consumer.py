"""The consumer: each event's effect exactly once, in order for each aggregate.

An event's handler runs in one transaction with the inbox row that says so. One that fails is
parked with everything behind it of the same aggregate; the others go on.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
import zlib
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from tulle.event.v1 import event_pb2

from infra import limits
from infra.events import streams
from infra.events.bus import Bus
from infra.events.pull import pull
from infra.events.received import Handler, Received, Subscriptions, Unreadable, decode, previous, received, verified
from infra.postgres import COLLISIONS, Connection, Database, queries
from mesh import model
from mesh.contract import Contract, contract

log = structlog.get_logger(__name__)
sql = queries(Path(__file__).with_name("inbox.sql"))

_TRANSIENT = (model.Unavailable, model.Exhausted, model.DeadlineExceeded, model.Conflict, OSError)
"""What passes by itself: such an event is tried for PARKED_LONGEST. (TimeoutError is an OSError.)"""


class Early(Exception):
    """An event that came before its predecessor."""


class HandlerFailed(Exception):
    """What a handler raised, apart from what went wrong around it."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(repr(cause))
        self.cause = cause


class Consumer:
    """Gets the events that one workload consumes to its handlers. Several processes may run one each.

    Raises: ValueError if the contract does not list the workload as a consumer of each of them.
    """

    def __init__(
        self, database: Database, bus: Bus, workload: str, subscriptions: Subscriptions, of: Contract | None = None
    ) -> None:
        self._database = database
        self._bus = bus
        self._workload = workload
        self._subscriptions = {message.DESCRIPTOR.full_name: (message, h) for message, h in subscriptions.items()}
        self._events = (of or contract()).events
        consumed = {name for name, event in self._events.items() if workload in event.consumers}
        if consumed != set(self._subscriptions):
            odd = ", ".join(sorted(consumed ^ set(self._subscriptions)))
            raise ValueError(f"{workload}: the contract and the subscriptions differ in {odd}")
        self._parked = asyncio.Event()

    async def run(self) -> None:
        """Consume and retry until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._bus.while_connected(self._consume))
            for _ in range(limits.PARKED_LANES):
                tasks.create_task(self._retry_parked())

    async def _consume(self, client: Client) -> None:
        lanes = [asyncio.Queue[Msg](limits.PULL_BATCH) for _ in range(limits.CONSUMER_LANES)]
        async with asyncio.TaskGroup() as tasks:
            for lane in lanes:
                tasks.create_task(self._work(lane))
            for name in self._subscriptions:
                event = self._events[name]
                stream, durable = streams.stream(event.domain), streams.durable(event, self._workload)
                tasks.create_task(self._deal(pull(client, stream, durable), lanes))

    async def _deal(self, messages: AsyncIterator[Msg], lanes: list[asyncio.Queue[Msg]]) -> None:
        async for message in messages:
            await lanes[_lane(message.data) % len(lanes)].put(message)

    async def _work(self, lane: asyncio.Queue[Msg]) -> None:
        while True:
            message = await lane.get()
            try:
                await self.take(message)
            except Exception as error:
                # Neither effect nor parked, as when the database is away: the broker brings it again.
                log.warning("event_not_taken", subject=message.subject, error=repr(error))
                await message.nak(delay=_pause(message, limits.EARLY_PAUSE_LONGEST))

    async def take(self, message: Msg) -> None:
        """Make one delivery's effect, or park or bury it, and acknowledge it. Raises: whatever prevents all that."""
        try:
            event = self._readable(message)
        except Unreadable as error:
            await self._bury(message, error)
        else:
            try:
                await self._effect(event, message)
            except Early:
                await message.nak(delay=_pause(message, limits.EARLY_PAUSE_LONGEST))
                return
            except HandlerFailed as error:
                await self._park(event, message, error)
        await message.ack()

    def _readable(self, message: Msg) -> event_pb2.Event:
        event = decode(message.data)
        return verified(event, self._events.get(event.type), message)

    async def _effect(self, event: event_pb2.Event, message: Msg) -> None:
        before = previous(message.headers, self._workload)

        async def once() -> None:
            async with self._database.connection() as connection:
                found = await sql.receive(connection, **_place(event), previous=before or 0)
                if not found["is_new"]:
                    return
                if found["behind"] and before is not None:
                    await _insert_parked(connection, event, ordered=True)
                    self._parked.set()
                    return
            if not found["in_order"] and message.metadata.num_delivered < limits.EARLY_DELIVERIES:
                raise Early
            if not found["in_order"]:
                log.error("event_without_predecessor", event_id=event.event_id, previous=before)
            await self._handle(event)

        await self._database.run(once)

    async def _handle(self, event: event_pb2.Event) -> None:
        began = time.perf_counter()
        try:
            async with asyncio.timeout(limits.HANDLER_TIMEOUT):
                await self._handler(event.type)(self._received(event))
        except COLLISIONS:
            raise  # the transaction is run again
        except Exception as error:
            raise HandlerFailed(error) from error
        log.info(
            "event",
            type=event.type,
            event_id=event.event_id,
            source=event.source,
            causation_id=event.causation_id,
            trace_id=event.traceparent[3:35],
            ms=round((time.perf_counter() - began) * 1000, 2),
        )

    def _handler(self, name: str) -> Handler:
        return self._subscriptions[name][1]

    def _received(self, event: event_pb2.Event) -> Received:
        return received(event, self._subscriptions[event.type][0], self._workload)

    async def _park(self, event: event_pb2.Event, message: Msg, error: HandlerFailed) -> None:
        ordered = previous(message.headers, self._workload) is not None
        log.warning("event_parked", event_id=event.event_id, type=event.type, error=str(error))

        async def park() -> None:
            async with self._database.connection() as connection:
                found = await sql.receive(connection, **_place(event), previous=0)
                if found["is_new"]:
                    await _insert_parked(connection, event, ordered=ordered, attempts=1, error=str(error), pause=1.0)

        await self._database.run(park)
        self._parked.set()

    async def _bury(self, message: Msg, error: Unreadable) -> None:
        metadata = message.metadata
        log.error("event_unreadable", subject=message.subject, stream_seq=metadata.sequence.stream, error=str(error))
        async with self._database.connection() as connection:
            await sql.bury(
                connection,
                event_id=(message.headers or {}).get("Nats-Msg-Id") or f"{metadata.stream}:{metadata.sequence.stream}",
                source=metadata.stream,
                type=message.subject,
                envelope=message.data,
                error=str(error),
            )

    async def _retry_parked(self) -> None:
        while True:
            self._parked.clear()
            try:
                if await self.retry_one():
                    continue
            except Exception as error:
                log.warning("retry_failed", error=repr(error))
                await asyncio.sleep(limits.RETRY_LONGEST * random.random())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(limits.PARKED_POLL):
                    await self._parked.wait()

    async def retry_one(self) -> bool:
        """Try the parked event that is due, if there is one; whether there was."""
        return await self._database.run(self._retry)

    async def _retry(self) -> bool:
        async with self._database.connection() as connection:
            row = await sql.next_parked(connection)
            if row is None:
                return False
            try:
                async with self._database.savepoint():
                    await self._handle(event_pb2.Event.FromString(row["envelope"]))
            except HandlerFailed as error:
                await self._failed_again(connection, row, error)
            else:
                await sql.unpark(connection, event_id=row["event_id"])
            return True

    async def _failed_again(self, connection: Connection, row: Any, error: HandlerFailed) -> None:
        attempts = row["attempts"] + 1
        transient = isinstance(error.cause, _TRANSIENT)
        now = await connection.fetchval("SELECT now()")
        old = now - row["parked_at"] > timedelta(seconds=limits.PARKED_LONGEST)
        dead = old or (attempts >= limits.PARKED_ATTEMPTS and not transient)
        if dead:
            log.error("event_dead", event_id=row["event_id"], type=row["type"], error=str(error))
        pause = timedelta(seconds=min(limits.PARKED_PAUSE_LONGEST, 2.0 ** min(attempts - 1, 20)))
        await sql.failed_again(connection, event_id=row["event_id"], error=str(error)[:1000], pause=pause, dead=dead)


def _place(event: event_pb2.Event) -> dict[str, Any]:
    return {
        "event_id": event.event_id,
        "source": event.source,
        "resource": event.resource,
        "aggregate_id": event.aggregate_id,
        "aggregate_seq": event.aggregate_seq,
    }


async def _insert_parked(
    connection: Connection,
    event: event_pb2.Event,
    *,
    ordered: bool,
    attempts: int = 0,
    error: str = "",
    pause: float = 0.0,
) -> None:
    await sql.park(
        connection,
        **_place(event),
        ordered=ordered,
        type=event.type,
        envelope=event.SerializeToString(),
        attempts=attempts,
        error=error[:1000],
        pause=timedelta(seconds=pause),
    )


def _lane(data: bytes) -> int:
    try:
        return zlib.crc32(decode(data).aggregate_id.encode())
    except Unreadable:
        return 0


def _pause(message: Msg, longest: float) -> float:
    deliveries: int = message.metadata.num_delivered
    return float(min(longest, 0.25 * 2 ** min(deliveries - 1, 10)))
