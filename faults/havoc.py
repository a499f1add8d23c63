"""What happens to a stack: processes die, stand still, lose their connections, and messages come twice."""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import httpx
import nats.errors
from google.protobuf.timestamp_pb2 import Timestamp
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.errors import NotFoundError
from tulle.event.v1 import operations_pb2 as pb
from tulle.event.v1.operations_pb2_grpc import EventsServiceStub

from faults.journal import Journal
from faults.site import Site
from infra.events import streams
from infra.events.bus import connect
from infra.local.operator import calling
from mesh.contract import contract
from mesh.model import Error
from services import topology

BOXES = ("postgres", "valkey", "nats", "mail", "payments")
POISON = b"\xffthis is no envelope"
SHUFFLED = 40
"""Messages of a stream that come once more in any order."""
GOOD_LINE = {"hold": False, "shuffle": False, "duplicate": 0, "delay": 0.0, "cut": 0, "stall": 0.0, "refuse": 0}
"""The payment provider as it is when nothing is wrong."""


def everybody() -> tuple[str, ...]:
    """All processes that may be harmed."""
    served = [workload.name for workload in topology.WORKLOADS if workload.serves]
    return (*BOXES, *served, *(f"{name}.sidecar" for name in served), "gateway")


@dataclass(frozen=True, slots=True)
class Harm:
    """One fault: what was done to which process, from when until when (seconds since the run began)."""

    kind: str
    victim: str
    begin: float
    end: float


@dataclass
class Havoc:
    """Harms a stack again and again, by a chance that can be repeated."""

    site: Site
    journal: Journal
    chance: random.Random
    victims: Sequence[str] = ()
    """Whom it may happen to; nobody named is everybody."""
    longest_stop: float = 5.0
    done: list[Harm] = field(default_factory=list)
    poisoned: int = 0

    async def run(self) -> None:
        """Until cancelled, whatever has been stopped goes on then."""
        while True:
            await asyncio.sleep(self.chance.uniform(0.2, 1.5))
            (name, harm), *_ = self.chance.choices([*self._harms.items()], weights=[w for _, w in _WEIGHTS.items()])
            begin = self.journal.now()
            with contextlib.suppress(*_MISSED):
                if (victim := await harm()) is not None:
                    self.done.append(Harm(name, victim, begin, self.journal.now()))

    @property
    def _harms(self) -> dict[str, Callable[[], Awaitable[str | None]]]:
        return {
            "kill": self.kill,
            "terminate": self.terminate,
            "stop": self.stop,
            "cut": self.cut,
            "republish": self.republish,
            "shuffle": self.shuffle,
            "poison": self.poison,
            "bad-line": self.bad_line,
        }

    def _anybody(self) -> str:
        return self.chance.choice([*self.victims] or [*everybody()])

    async def kill(self) -> str | None:
        """A process ends between two instructions."""
        victim = self._anybody()
        return victim if self.site.signal(victim, signal.SIGKILL) else None

    async def terminate(self) -> str | None:
        """A process is asked to end, under load."""
        victim = self._anybody()
        # SIGTERM asks PostgreSQL to stop once everybody has left, which pools do not.
        ends = signal.SIGINT if victim == "postgres" else signal.SIGTERM
        return victim if self.site.signal(victim, ends) else None

    async def stop(self) -> str | None:
        """A process stands still for a while, with all its connections open. (A gateway that does answers nobody.)"""
        while (victim := self._anybody()) == "gateway":
            continue
        if not self.site.signal(victim, signal.SIGSTOP):
            return None
        pid = self.site.pid(victim)
        try:
            await asyncio.sleep(self.chance.uniform(0.2, self.longest_stop))
        finally:
            if self.site.pid(victim) == pid:
                self.site.signal(victim, signal.SIGCONT)
        return victim

    async def cut(self) -> str:
        """Every connection to the database ends."""
        await self.site.cut_connections()
        return "postgres"

    async def republish(self) -> str:
        """What a service published in the last half minute comes to its consumers once more."""
        victim = self.chance.choice([workload.name for workload in topology.owners(topology.EVENTS)])
        now, since, until = datetime.now(UTC), Timestamp(), Timestamp()
        since.FromDatetime(now - timedelta(seconds=30))
        until.FromDatetime(now)
        async with asyncio.timeout(5), calling(self.site.layout, victim) as channel:
            stub: Any = channel.stub(EventsServiceStub)
            await stub.RepublishEvents(pb.RepublishEventsRequest(since=since, until=until))
        return victim

    async def shuffle(self) -> str:
        """The newest messages of a stream come to its consumers once more, in any order, one by one and late."""
        victim = self.chance.choice(sorted({event.domain for event in contract().events.values()}))
        async with asyncio.timeout(10), self._broker() as client:
            jetstream = client.jetstream(timeout=3)
            newest = (await jetstream.stream_info(streams.stream(victim))).state.last_seq
            places = [*range(max(1, newest - SHUFFLED + 1), newest + 1)]
            self.chance.shuffle(places)
            for place in places:
                await asyncio.sleep(self.chance.uniform(0, 0.05))
                await self._copy(jetstream, streams.stream(victim), place)
        return victim

    async def _copy(self, jetstream: JetStreamContext, stream: str, place: int) -> None:
        with contextlib.suppress(NotFoundError):  # its time in the stream is over
            message = await jetstream.get_msg(stream, place)
            headers = {name: value for name, value in (message.headers or {}).items() if name != "Nats-Msg-Id"}
            assert message.subject and message.data is not None
            # As its sender never repeats it: under no id by which the broker would know it.
            await jetstream.publish(message.subject, message.data, headers=headers)

    async def poison(self) -> str:
        """A message that is no event stands in a stream."""
        async with self._broker() as client:
            await client.jetstream(timeout=3).publish("tulle.auth.account_created", POISON)
        self.poisoned += 1
        return "nats"

    @contextlib.asynccontextmanager
    async def _broker(self) -> AsyncIterator[Client]:
        layout = self.site.layout
        url = f"nats://127.0.0.1:{layout.ports['nats']}"
        client: Client = await connect(url, streams.ADMINISTRATOR, layout.secret(streams.ADMINISTRATOR, "nats"))
        try:
            yield client
        finally:
            await client.close()

    async def bad_line(self) -> str:
        """Webhooks of the payment provider are held up, doubled and shuffled; some of its answers are lost, or late."""
        chance = self.chance
        line = {
            "hold": chance.random() < 0.5,
            "shuffle": True,
            "duplicate": chance.randrange(3),
            "delay": chance.uniform(0, 2),
            "cut": chance.randrange(3),
            "stall": chance.choice((0.0, 0.0, 2.5)),
            "refuse": chance.randrange(2),
        }
        await self.site.provider(line)
        try:
            await asyncio.sleep(chance.uniform(1, 4))
        finally:
            # A provider that has died meanwhile has forgotten it.
            with contextlib.suppress(httpx.HTTPError):
                await self.site.provider(GOOD_LINE)
        return "payments"


_MISSED = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, nats.errors.Error, httpx.HTTPError, Error)
"""What comes of harming what is broken already."""
_WEIGHTS = {
    "kill": 8,
    "terminate": 3,
    "stop": 3,
    "cut": 1,
    "republish": 2,
    "shuffle": 2,
    "poison": 1,
    "bad-line": 3,
}
