"""The relay: publishes what the outbox holds, in order for each aggregate, until the broker has it."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import nats.errors
import structlog
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import PubAck

from infra import limits
from infra.events import streams
from infra.events.bus import Bus, last_sequence
from infra.events.outbox import envelope
from infra.events.received import PREVIOUS
from infra.events.statements import outbox as sql
from infra.postgres import Connection, Database
from mesh.contract import Contract, contract

log = structlog.get_logger(__name__)

Record: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Batch:
    """What has become of the events of one batch, by event id; `previous` are values of the header PREVIOUS.

    What is not begun `until` then, by the loop's clock, is left to the next one.
    """

    jetstream: JetStreamContext
    previous: Mapping[str, list[str]]
    until: float
    done: dict[str, PubAck] = field(default_factory=dict)
    failed: dict[str, Exception] = field(default_factory=dict)


class Relay:
    """Publishes one service's outbox. Several processes may run one each."""

    def __init__(self, database: Database, bus: Bus, workload: str, of: Contract | None = None) -> None:
        self._database = database
        self._bus = bus
        self._workload = workload
        self._events = (of or contract()).events
        self._types = [event.message for event in self._events.values() if event.domain == workload]
        self._woken = asyncio.Event()
        self._in_flight = asyncio.Semaphore(limits.RELAY_IN_FLIGHT)
        self._newest = 0
        self._anew: int | None = None
        database.after_commit(self.wake)

    def wake(self) -> None:
        """Say that there is something to publish."""
        self._woken.set()

    async def run(self) -> None:
        """Publish until cancelled."""
        await self._bus.while_connected(self._publish_all)

    async def _publish_all(self, client: Client) -> None:
        await self._recover(client)
        jetstream = client.jetstream(timeout=limits.PUBLISH_TIMEOUT)
        while True:
            self._woken.clear()
            if not await self.publish(jetstream):
                await self._rest()

    async def _recover(self, client: Client) -> None:
        """Give back to the outbox what the broker acknowledged and then lost, with its disk or a power failure."""
        self._newest = await last_sequence(client, streams.stream(self._workload))
        # A stream that was seen to begin anew has filled some places since; the events that had those are lost too.
        first = self._newest + 1 if self._anew is None else min(self._anew, self._newest + 1)
        lost = await self._forget(first)
        self._anew = None
        if lost:
            log.warning("broker_lost_events", count=lost, last_seq=self._newest)

    async def _forget(self, first: int) -> int:
        """Take back all that was published from a place on, at once for others, in statements that end in time."""
        total = 0
        async with self._database.transaction() as connection:
            while True:
                batch = await sql.forget_lost(connection, first_seq=first, batch=limits.REPLAY_BATCH)
                total += int(batch["count"])
                if batch["count"] < limits.REPLAY_BATCH:
                    return total
                first = batch["last_seq"]

    async def publish(self, jetstream: JetStreamContext) -> bool:
        """Publish one batch; whether there may be more.

        The rows stay locked until they are marked: a relay that dies leaves them as they were.
        Raises: ConnectionError when none of them could be published.
        """
        async with self._database.transaction() as connection:
            rows = await _rows(
                sql.claim(connection, types=self._types, batch=limits.RELAY_BATCH, lane=limits.RELAY_LANE)
            )
            if not rows:
                return False
            lanes = _lanes(rows)
            done = await self._publish_lanes(jetstream, lanes, await self._previous(connection, rows))
            await sql.mark(connection, event_ids=[*done], stream_seqs=[ack.seq for ack in done.values()])
        self._check([*done.values()])
        return len(lanes) >= limits.RELAY_BATCH or max(map(len, lanes)) >= limits.RELAY_LANE

    def _check(self, acks: Sequence[PubAck]) -> None:
        if not acks:
            raise ConnectionError("the broker takes no events")
        fresh = [ack.seq for ack in acks if not ack.duplicate]
        if fresh and min(fresh) <= self._newest:
            self._anew = min(fresh)
            raise ConnectionError("the broker has begun its stream anew")
        self._newest = max(self._newest, *fresh, 0)

    async def _previous(self, connection: Connection, rows: Sequence[Record]) -> dict[str, list[str]]:
        """By event id the values of the header PREVIOUS."""
        found: dict[str, list[str]] = {row["event_id"]: [] for row in rows}
        for workload, types in self._consumed().items():
            asked = [row for row in rows if row["type"] in types and row["publish_at"] is None]
            for row, seq in zip(asked, await _places(connection, asked, types), strict=True):
                found[row["event_id"]].append(f"{workload}={seq}")
        return found

    def _consumed(self) -> dict[str, set[str]]:
        own = [event for event in self._events.values() if event.domain == self._workload]
        workloads = sorted({workload for event in own for workload in event.consumers})
        return {w: {event.message for event in own if w in event.consumers} for w in workloads}

    async def _publish_lanes(
        self, jetstream: JetStreamContext, lanes: Sequence[Sequence[Record]], previous: Mapping[str, list[str]]
    ) -> dict[str, PubAck]:
        """By event id the acknowledgements that came."""
        batch = _Batch(jetstream, previous, asyncio.get_running_loop().time() + limits.RELAY_BATCH_TIME)
        await asyncio.gather(*(self._publish_lane(batch, lane) for lane in lanes))
        if batch.failed:
            event_id, error = next(iter(batch.failed.items()))
            log.warning("publish_failed", count=len(batch.failed), event_id=event_id, exc_info=error)
        return batch.done

    async def _publish_lane(self, batch: _Batch, lane: Sequence[Record]) -> None:
        for row in lane:
            try:
                async with self._in_flight:
                    if asyncio.get_running_loop().time() > batch.until:
                        return
                    batch.done[row["event_id"]] = await self._publish_one(batch, row)
            except (nats.errors.Error, OSError, KeyError) as error:  # KeyError: a type of newer code than this
                batch.failed[row["event_id"]] = error
                return  # those behind it keep their place

    async def _publish_one(self, batch: _Batch, row: Record) -> PubAck:
        event = self._events[row["type"]]
        headers = {"Nats-Msg-Id": _message_id(row), "Nats-TTL": f"{event.retention:.0f}s"}
        if row["publish_at"] is None:
            headers[PREVIOUS] = ",".join(batch.previous[row["event_id"]])
        if row["traceparent"]:
            headers["traceparent"] = row["traceparent"]
        body = envelope(row, self._workload).SerializeToString()
        return await batch.jetstream.publish(event.subject, body, headers=headers, stream=streams.stream(event.domain))

    async def _rest(self) -> None:
        """Until woken, the next timer or the next poll, whichever is first."""
        async with self._database.connection() as connection:
            timer = await sql.next_timer(connection, types=self._types)
        pause = limits.RELAY_POLL if timer is None else min(limits.RELAY_POLL, max(timer, 0.05))
        try:
            async with asyncio.timeout(pause):
                await self._woken.wait()
        except TimeoutError:
            return


def _message_id(row: Record) -> str:
    """By which the broker knows a repeat; a replay is none."""
    return f"{row['event_id']}/{row['replays']}" if row["replays"] else str(row["event_id"])


def _lanes(rows: Iterable[Record]) -> list[list[Record]]:
    """The rows of each aggregate in order; each timer by itself."""

    def key(row: Record) -> tuple[str, str, str]:
        return row["resource"], row["aggregate_id"], row["event_id"] if row["publish_at"] else ""

    ordered = sorted(rows, key=lambda row: (*key(row), row["aggregate_seq"]))
    return [list(lane) for _, lane in itertools.groupby(ordered, key)]


async def _places(connection: Connection, rows: Sequence[Record], types: set[str]) -> list[int]:
    """For each row the place of the event of these types that precedes it in its aggregate's history, or 0."""
    if not rows:
        return []
    found = sql.previous(
        connection,
        resources=[row["resource"] for row in rows],
        aggregates=[row["aggregate_id"] for row in rows],
        seqs=[row["aggregate_seq"] for row in rows],
        types=sorted(types),
    )
    return [row["seq"] async for row in found]


async def _rows(found: AsyncIterator[Record]) -> list[Record]:
    return [row async for row in found]
