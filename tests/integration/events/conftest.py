"""Two services' databases and the bus between them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tulle.event.v1.operations_pb2_grpc import EventsServiceStub, add_EventsServiceServicer_to_server

from infra.events.backlog import Backlogs
from infra.events.bus import Bus, open_bus
from infra.events.servicer import EventsServicer
from infra.postgres import Database, open_database
from infra.settings import ServiceSettings
from mesh.app import App
from mesh.call import Peer
from mesh.transports.inprocess import InProcess
from tests.servers import PASSWORD, Nats, Postgres


@dataclass
class Site:
    """What one test runs on."""

    postgres: Postgres
    nats: Nats
    database: str
    folder: Path

    def settings(self, workload: str) -> ServiceSettings:
        return ServiceSettings(**self.options(workload))  # type: ignore[arg-type]

    def options(self, workload: str) -> dict[str, object]:
        return {
            "workload": workload,
            "run_dir": self.folder,
            "state_dir": self.folder,
            "secrets_dir": self.folder,
            "postgres_host": "127.0.0.1",
            "postgres_port": self.postgres.port,
            "postgres_database": self.database,
            "nats_url": self.nats.url,
        }

    def open_database(self, workload: str) -> contextlib.AbstractAsyncContextManager[Database]:
        return open_database(self.settings(workload))

    def open_bus(self, workload: str) -> contextlib.AbstractAsyncContextManager[Bus]:
        return open_bus(self.settings(workload))


@pytest.fixture
async def site(postgres: Postgres, tmp_path: Path) -> AsyncIterator[Site]:
    for secret in ("postgres", "nats"):
        (tmp_path / secret).write_text(PASSWORD)
    nats = Nats(tmp_path)
    await nats.start()
    try:
        yield Site(postgres, nats, await postgres.new_database(), tmp_path)
    finally:
        nats.kill()


@pytest.fixture
async def auth(site: Site) -> AsyncIterator[Database]:
    async with site.open_database("auth") as database:
        yield database


@pytest.fixture
async def users(site: Site) -> AsyncIterator[Database]:
    async with site.open_database("users") as database:
        async with database.connection() as connection:
            await connection.execute(
                "CREATE TABLE effects (place bigserial, event_id text, aggregate_id text, aggregate_seq bigint)"
            )
        yield database


def operator(database: Database, workload: str, caller: str = "operator") -> Any:
    """A stub of the EventsService of `workload`, whose broker does not answer, for `caller`."""
    backlogs = Backlogs(database, Bus("", workload, ""), workload)
    servicer = EventsServicer(database, backlogs, workload)
    nobody: Any = None
    app = App(workload, ((add_EventsServiceServicer_to_server, servicer),), nobody, nobody)
    channel: Any = InProcess(app, Peer(caller))
    return EventsServiceStub(channel)


@contextlib.asynccontextmanager
async def running(*workers: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """The workers, as tasks, for the length of the block."""
    tasks = [asyncio.ensure_future(worker()) for worker in workers]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def eventually(true: Callable[[], Awaitable[Any]], seconds: float = 20) -> None:
    """Wait until it holds. Raises: AssertionError after so many seconds."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not await true():
        assert asyncio.get_running_loop().time() < deadline, "it never came true"
        await asyncio.sleep(0.02)
