"""What waits in one workload: in its database and, as far as the broker answers, in its streams."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any

import nats.errors
import structlog
from nats.aio.client import Client
from nats.js import JetStreamContext
from tulle.event.v1 import operations_pb2 as pb

from infra import limits
from infra.events import streams
from infra.events.bus import Bus
from infra.events.statements import inbox, outbox
from infra.postgres import Database
from mesh import model
from mesh.contract import Contract, Event, contract

log = structlog.get_logger(__name__)


class Backlogs:
    """Counts what waits, when asked and in a log line every LAG_EVERY."""

    def __init__(self, database: Database, bus: Bus, workload: str, of: Contract | None = None) -> None:
        self._database = database
        self._bus = bus
        self._workload = workload
        self._events = (of or contract()).events

    async def now(self) -> pb.Backlog:
        """What waits now. Raises: model.Unavailable if the database does not answer; the broker may."""
        async with self._database.connection() as connection:
            found: Mapping[str, Any] = await outbox.unpublished(connection)
            waiting: Mapping[str, Any] = await inbox.waiting(connection)
        told = pb.Backlog(
            unpublished=found["due"],
            unpublished_since=found["since"],
            timers=found["timers"],
            next_timer_time=found["next_timer"],
            parked=waiting["parked"],
            dead=waiting["dead"],
        )
        told.MergeFrom(await self._at_broker())
        return told

    async def run(self) -> None:
        """Log the numbers until cancelled."""
        while True:
            await asyncio.sleep(limits.LAG_EVERY)
            try:
                self._tell(await self.now())
            except model.Error as error:
                log.warning("backlog_unknown", error=error.reason)

    def _tell(self, found: pb.Backlog) -> None:
        oldest = time.time() - found.unpublished_since.ToNanoseconds() / 1e9 if found.unpublished else 0.0
        log.info(
            "backlog",
            workload=self._workload,
            unpublished=found.unpublished,
            oldest=round(oldest, 1),
            timers=found.timers,
            parked=found.parked,
            dead=found.dead,
            broker_answers=found.broker_answers,
            lag={one.name: one.waiting + one.unacknowledged for one in found.consumers},
        )

    async def _at_broker(self) -> pb.Backlog:
        if (client := self._bus.connected) is None:
            return pb.Backlog()
        try:
            return await self._asked(client)
        except (nats.errors.Error, OSError):
            return pb.Backlog()

    async def _asked(self, client: Client) -> pb.Backlog:
        jetstream = client.jetstream(timeout=limits.BROKER_ANSWERS)
        announces = any(event.domain == self._workload for event in self._events.values())
        consumed = [event for event in self._events.values() if self._workload in event.consumers]
        return pb.Backlog(
            stream=await _stream(jetstream, streams.stream(self._workload)) if announces else None,
            consumers=await asyncio.gather(*(_consumer(jetstream, event, self._workload) for event in consumed)),
            broker_answers=True,
        )


async def _stream(jetstream: JetStreamContext, name: str) -> pb.StreamState:
    found = await jetstream.stream_info(name)
    return pb.StreamState(
        name=name,
        messages=found.state.messages,
        bytes=found.state.bytes,
        max_bytes=found.config.max_bytes or 0,
    )


async def _consumer(jetstream: JetStreamContext, event: Event, workload: str) -> pb.ConsumerState:
    stream, name = streams.stream(event.domain), streams.durable(event, workload)
    found = await jetstream.consumer_info(stream, name)
    return pb.ConsumerState(
        stream=stream,
        name=name,
        type=event.message,
        waiting=found.num_pending or 0,
        unacknowledged=found.num_ack_pending or 0,
    )
