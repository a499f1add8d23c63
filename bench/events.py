"""Events: the relay against bare publishing, and how long an event takes from its commit to its consumer.

PostgreSQL and NATS are the stack's own binaries with its settings, everything forced to disk; nothing else
of a stack runs beside them.
"""

from __future__ import annotations

import asyncio
import json
import logging
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
import uvloop
from nats.js import JetStreamContext

from bench.measure import Row
from infra import limits
from infra.events import outbox, streams
from infra.events.bus import Bus, open_bus
from infra.events.relay import Relay
from infra.local import account, boxes
from infra.local.layout import FIRST_PORT, free
from infra.migrations import dsn, migrate
from infra.postgres import Database, open_database
from infra.settings import ServiceSettings
from mesh import model
from mesh.contract import contract
from mesh.tasks import ended

ROUNDS, EVENTS, RATE, SECONDS = 5, 4000, 500, 5.0
SECRET = "bench"  # noqa: S105 (of servers that live as long as the benchmark)
WORKLOADS = ("auth", "users")


def rows(rounds: int = ROUNDS) -> list[Row]:
    """Publishes per second, bare and by the relay; then latencies at RATE."""
    quiet()
    with tempfile.TemporaryDirectory(prefix="tb-") as folder:
        Path(folder).chmod(0o711)
        return uvloop.run(_measured(Path(folder), rounds))


def quiet() -> None:
    """No log lines but errors."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))


async def _measured(folder: Path, rounds: int) -> list[Row]:
    async with _site(folder) as site, site.open("auth") as (auth, out):
        # Latencies first: what is published for the rates waits for no consumer.
        latencies = [await _latencies(site, auth, out) for _ in range(rounds + 1)][1:]
        rates = [await _round(auth, out) for _ in range(rounds + 1)][1:]
    bare, ours = zip(*rates, strict=True)
    return [
        Row("nats-py: publishes, 64 in flight", tuple(bare), "events/s"),
        Row("relay: outbox to acknowledged", tuple(ours), "events/s"),
        Row(f"commit to consumer at {RATE}/s: median", tuple(map(statistics.median, latencies)), "ms", "less"),
        Row(f"commit to consumer at {RATE}/s: 99 %", tuple(map(_p99, latencies)), "ms", "less"),
    ]


@dataclass(frozen=True)
class Site:
    """Two databases and a broker."""

    folder: Path
    nats: int

    @asynccontextmanager
    async def open(self, workload: str) -> AsyncIterator[tuple[Database, Bus]]:
        settings = ServiceSettings(
            workload=workload,
            run_dir=self.folder,
            state_dir=self.folder,
            secrets_dir=self.folder,
            postgres_host=str(self.folder / "sockets"),
            nats_url=f"nats://127.0.0.1:{self.nats}",
        )
        async with open_database(settings) as database, open_bus(settings) as bus:
            await bus.client()
            yield database, bus


@asynccontextmanager
async def _site(folder: Path) -> AsyncIterator[Site]:
    for secret in ("postgres", "nats"):
        (folder / secret).write_text(SECRET)
    async with AsyncExitStack() as running:
        await _postgres(folder, running)
        yield Site(folder, await _nats(folder, running))


async def _postgres(folder: Path, running: AsyncExitStack) -> None:
    data, sockets = folder / "data", folder / "sockets"
    await asyncio.to_thread(boxes.create_postgres, data, SECRET)
    sockets.mkdir()
    account.give(sockets, account.UID)
    await _process(boxes.postgres_command(data, sockets), running)
    await _ready(lambda: boxes.postgres_ready(sockets, SECRET))
    await boxes.provision_postgres(sockets, SECRET, dict.fromkeys(WORKLOADS, SECRET))
    for workload in WORKLOADS:
        await asyncio.to_thread(migrate, dsn(workload, SECRET, str(sockets), 5432, "tulle"), workload)


async def _nats(folder: Path, running: AsyncExitStack) -> int:
    port = next(port for port in range(FIRST_PORT + 9800, FIRST_PORT + 9900) if free(port))
    passwords = dict.fromkeys((streams.ADMINISTRATOR, *WORKLOADS), SECRET)
    await _process(boxes.nats_command(boxes.configure_nats(folder, port, contract(), passwords)), running)
    await _ready(lambda: boxes.nats_ready(port, SECRET, contract()))
    return port


async def _process(command: Sequence[str], running: AsyncExitStack) -> None:
    quiet = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(*command, stdout=quiet, stderr=quiet, cwd="/")

    async def stop() -> None:
        process.terminate()
        await process.wait()

    running.push_async_callback(stop)


async def _ready(attempt: Callable[[], Any]) -> None:
    for _ in range(200):
        try:
            await attempt()
        except Exception:  # whatever it says, it is not there yet
            await asyncio.sleep(0.1)
        else:
            return
    raise SystemExit("A server for the benchmark does not start.")


async def _round(auth: Database, bus: Bus) -> tuple[float, float]:
    """The same events, bare and by the relay, in turns: events per second."""
    jetstream = (await bus.client()).jetstream(timeout=limits.PUBLISH_TIMEOUT)
    await _commit(auth, EVENTS)
    bare = await _publish_bare(auth, jetstream)
    relay, started = Relay(auth, bus, "auth"), time.perf_counter()
    while await relay.publish(jetstream):
        pass
    ours = EVENTS / (time.perf_counter() - started)
    async with auth.connection() as connection:
        await connection.execute("TRUNCATE outbox")
    return bare, ours


async def _commit(auth: Database, count: int) -> None:
    async with auth.transaction() as connection:
        events = [_event(f"user_{number}") for number in range(count)]
        await connection.executemany("INSERT INTO outbox SELECT ($1::new_event).*, 1", [(event,) for event in events])


async def _publish_bare(auth: Database, jetstream: JetStreamContext) -> float:
    """What the relay would publish, ready made; the ids differ, so that nothing is dropped."""
    async with auth.connection() as connection:
        found = [dict(row) for row in await connection.fetch("SELECT * FROM outbox")]
    told = [(row["event_id"], outbox.envelope(row, "auth").SerializeToString()) for row in found]
    gate = asyncio.Semaphore(limits.RELAY_IN_FLIGHT)

    async def publish(event_id: str, body: bytes) -> None:
        async with gate:
            headers = {"Nats-Msg-Id": f"bare_{event_id}"}
            await jetstream.publish("tulle.auth.account_created", body, headers=headers, stream="TULLE_AUTH")

    started = time.perf_counter()
    await asyncio.gather(*(publish(*one) for one in told))
    return len(told) / (time.perf_counter() - started)


async def _latencies(site: Site, auth: Database, out: Bus) -> list[float]:
    """Milliseconds from commit to handler, of each event that is committed at RATE for SECONDS.

    As in a service: who commits also runs the relay, and the consumer is another process.
    """
    committed: dict[str, float] = {}
    command = (sys.executable, "-m", "bench.consuming", str(site.folder), str(site.nats), str(int(RATE * SECONDS)))
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert process.stdout
    relay = asyncio.ensure_future(Relay(auth, out, "auth").run())
    try:
        await process.stdout.readline()
        await _commit_at_rate(auth, committed)
        async with asyncio.timeout(60):
            handled: dict[str, float] = json.loads(await process.stdout.read())
    finally:
        await ended(relay)
        if process.returncode is None:
            process.terminate()
        await process.wait()
    return [(handled[event_id] - at) * 1000 for event_id, at in committed.items()]


async def _commit_at_rate(auth: Database, committed: dict[str, float]) -> None:
    began, count = time.perf_counter(), int(RATE * SECONDS)

    async def one() -> None:
        event = _event(model.new_id("user"))
        async with auth.connection() as connection:
            await connection.execute("INSERT INTO outbox SELECT ($1::new_event).*, 1", event)
        committed[str(event[0])] = time.monotonic()

    async with asyncio.TaskGroup() as tasks:
        for number in range(count):
            await asyncio.sleep(max(0.0, began + number / RATE - time.perf_counter()))
            tasks.create_task(one())


@dataclass(frozen=True, slots=True)
class _AccountCreated(model.Event):
    type = "tulle.auth.v1.AccountCreated"
    resource = "account"
    user_id: str = ""


def _event(user_id: str) -> outbox.Row:
    return outbox.row(_AccountCreated(user_id, model.OrganisationId("organisation_1"), "bench", user_id=user_id))


def _p99(values: Sequence[float]) -> float:
    return statistics.quantiles(values, n=100)[98]
