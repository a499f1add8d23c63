"""The consumer: each event's effect exactly once, in order for each aggregate.

An event's handler runs in one transaction with the inbox row that says so. One that fails, or comes
before its predecessor, is parked with everything behind it of the same aggregate; the others go on.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator

import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from tulle.event.v1 import event_pb2

from infra import limits
from infra.events import streams
from infra.events.bus import Bus, backoff
from infra.events.handling import EMPTY, HandlerFailed, Handlers
from infra.events.parking import Parking, place
from infra.events.pull import pull
from infra.events.received import Subscriptions, Unreadable, Upgrades, decode, previous
from infra.events.statements import inbox as sql
from infra.postgres import Database
from mesh.contract import Contract, contract
from mesh.tasks import together

log = structlog.get_logger(__name__)


class Consumer:
    """Gets the events that one workload consumes to its handlers. Several processes may run one each.

    Raises: ValueError unless the subscriptions are those that the contract lists for the workload, and the
    upgrades lead up to its versions.
    """

    def __init__(
        self,
        database: Database,
        bus: Bus,
        workload: str,
        subscriptions: Subscriptions,
        of: Contract | None = None,
        upgrades: Upgrades = EMPTY,
    ) -> None:
        self._database = database
        self._bus = bus
        self._workload = workload
        self._handlers = Handlers(workload, subscriptions, of or contract(), upgrades)
        self.parking = Parking(database, self._handlers)

    async def run(self) -> None:
        """Consume and retry until cancelled."""
        retries = (self.parking.run() for _ in range(limits.PARKED_LANES))
        await together(self._bus.while_connected(self._consume), *retries)

    async def _consume(self, client: Client) -> None:
        lanes = [asyncio.Queue[Msg](limits.PULL_BATCH) for _ in range(limits.CONSUMER_LANES)]
        arriving = (
            pull(client, streams.stream(event.domain), streams.durable(event, self._workload))
            for event in self._handlers.events
        )
        await together(*map(self._work, lanes), *(_deal(messages, lanes) for messages in arriving))

    async def _work(self, lane: asyncio.Queue[Msg]) -> None:
        failures = 0
        while True:
            message = await lane.get()
            try:
                await self.take(message)
                failures = 0
            except Exception as error:
                # Neither effect nor parked, as when the database is away: the broker brings it again.
                log.warning("event_not_taken", subject=message.subject, exc_info=error)
                await message.nak(delay=_pause(message))
                # Nor will the next be taken just now: without a rest the log gets a trace of each, over and over.
                failures += 1
                await asyncio.sleep(backoff(failures))

    async def take(self, message: Msg) -> None:
        """Make one delivery's effect, or park or bury it, and acknowledge it. Raises: whatever prevents all that."""
        try:
            event = self._handlers.readable(message)
            before = previous(message.headers, self._workload)
        except Unreadable as error:
            await self.parking.bury(message, error)
        else:
            await self._effect(event, before)
        await message.ack()

    async def _effect(self, event: event_pb2.Event, before: int | None) -> None:
        async def once() -> bool:
            async with self._database.connection() as connection:
                found = await sql.receive(connection, **place(event), previous=before or 0)
                if not found["is_new"]:
                    return False
                if before is not None and not found["in_turn"]:
                    await self.parking.early(connection, event, before)
                    return False
            await self._handlers.handle(event)
            return bool(found["followed"])

        try:
            if await self._database.run(once):
                self.parking.wake()
        except HandlerFailed as error:
            await self.parking.failed(event, before, error)


async def _deal(messages: AsyncIterator[Msg], lanes: list[asyncio.Queue[Msg]]) -> None:
    """Messages of one aggregate to one lane, so that they keep their order."""
    async for message in messages:
        await lanes[_hash(message.data) % len(lanes)].put(message)


def _hash(data: bytes) -> int:
    try:
        return zlib.crc32(decode(data).aggregate_id.encode())
    except Unreadable:
        return 0


def _pause(message: Msg) -> float:
    deliveries: int = message.metadata.num_delivered
    return float(min(limits.RETRY_LONGEST, 0.25 * 2 ** min(deliveries - 1, 10)))
