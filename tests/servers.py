"""Real servers for tests, which may kill them: PostgreSQL once for a run, the others for each test that needs one."""

from __future__ import annotations

import asyncio
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import nats.errors
from redis.exceptions import RedisError

from infra.events import streams
from infra.local import account, boxes
from infra.migrations import dsn, migrate
from mesh.contract import contract
from services import topology

PASSWORD = "test"
WORKLOADS = tuple(workload.name for workload in topology.WORKLOADS if "postgres" in workload.needs)


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def until(ready: Callable[[], Awaitable[None]]) -> None:
    """Wait until this does not raise."""
    async with asyncio.timeout(20):
        while True:
            try:
                return await ready()
            except (OSError, ValueError):
                await asyncio.sleep(0.02)


class Postgres:
    """A server with one migrated template, from which each test's database is copied."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._data = folder / "data"
        self._sockets = folder / "sockets"
        self._process: subprocess.Popen[bytes] | None = None
        self._made = 0

    def create(self) -> None:
        """Make its data folder."""
        boxes.create_postgres(self._data, PASSWORD)
        self._sockets.mkdir()
        account.give(self._sockets, account.UID)

    def start(self) -> None:
        """Start it, over TCP too, with nothing forced to disk."""
        options = (
            "-p",
            str(self.port),
            "-c",
            "listen_addresses=127.0.0.1",
            "-c",
            "fsync=off",
            "-c",
            "max_connections=200",
        )
        command = [*boxes.postgres_command(self._data, self._sockets), *options]
        self._process = subprocess.Popen(command, stderr=subprocess.DEVNULL, cwd="/")
        deadline = time.monotonic() + 20
        while not self._answers():
            assert time.monotonic() < deadline, "PostgreSQL does not start"
            time.sleep(0.05)

    def crash(self) -> None:
        """Stop it at once, connections open or not; what was committed is there after the next start."""
        assert self._process is not None
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait(20)

    def make_template(self) -> None:
        """Make roles and schemas and migrate them, for `new_database`."""
        asyncio.run(self.execute("CREATE DATABASE template"))
        for workload in WORKLOADS:
            asyncio.run(self.execute(f"CREATE ROLE {workload} LOGIN PASSWORD '{PASSWORD}'"))
            asyncio.run(self.execute(f"CREATE SCHEMA {workload} AUTHORIZATION {workload}", "template"))
            migrate(dsn(workload, PASSWORD, "127.0.0.1", self.port, "template"), workload)

    async def new_database(self) -> str:
        """The name of a database of its own, migrated and empty."""
        self._made += 1
        await self.execute(f"CREATE DATABASE test{self._made} TEMPLATE template")
        return f"test{self._made}"

    async def execute(self, statement: str, database: str = "postgres") -> None:
        """Run a statement as the superuser."""
        connection = await asyncpg.connect(
            host="127.0.0.1", port=self.port, user="postgres", password=PASSWORD, database=database
        )
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    def _answers(self) -> bool:
        try:
            asyncio.run(self.execute("SELECT 1"))
        except (OSError, asyncpg.PostgresError):
            return False
        return True


class Nats:
    """A server with its own store; `kill` leaves it no moment to say goodbye."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url = f"nats://127.0.0.1:{self.port}"
        self._folder = folder
        passwords = dict.fromkeys((streams.ADMINISTRATOR, *WORKLOADS), PASSWORD)
        self._config = boxes.configure_nats(folder, self.port, contract(), passwords)
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        """Start it and set up streams and consumers."""
        self._launch()
        deadline = time.monotonic() + 20
        while not await self._ready():
            assert time.monotonic() < deadline, "NATS does not start"
            await asyncio.sleep(0.02)

    def kill(self) -> None:
        """End it with SIGKILL."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(10)

    def lose_store(self) -> None:
        """Delete all that it has stored."""
        shutil.rmtree(self._folder / "streams")
        (self._folder / "streams").mkdir()

    def _launch(self) -> None:
        with (self._folder / "nats.log").open("ab") as output:
            self._process = subprocess.Popen(boxes.nats_command(self._config), stderr=output)

    async def _ready(self) -> bool:
        try:
            await boxes.nats_ready(self.port, PASSWORD, contract())
        except (OSError, nats.errors.Error):
            return False
        return True


class Valkey:
    """A server on a Unix socket, with the rights that workloads have in a stack."""

    def __init__(self, folder: Path) -> None:
        self.socket = folder / "v.sock"
        self.url = f"unix://{self.socket}"
        passwords = dict.fromkeys(("stack", *WORKLOADS), PASSWORD)
        self._command = boxes.valkey_command(boxes.configure_valkey(folder, self.socket, passwords))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; see `ready`."""
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)

    def kill(self) -> None:
        """End it with SIGKILL."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(10)

    async def ready(self) -> None:
        """Wait until it answers."""
        async with asyncio.timeout(10):
            while True:
                try:
                    return await boxes.valkey_ready(self.socket, PASSWORD)
                except (RedisError, OSError):
                    await asyncio.sleep(0.02)


class PaymentProvider:
    """The stand-in for Stripe; its webhooks go to `hooks`."""

    KEY = "sk_test_key"
    SECRET = "whsec_test"

    def __init__(self, folder: Path, hooks: str = "http://127.0.0.1:9/") -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.folder = folder
        (folder / "stripe-key").write_text(self.KEY)
        (folder / "stripe-webhook").write_text(self.SECRET)
        self._command = boxes.payments_command(folder, self.port, folder, hooks)
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        """Start it and wait until it answers."""
        self._launch()
        await until(lambda: boxes.payments_ready(self.port, self.KEY))

    def kill(self) -> None:
        """End it with SIGKILL."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(10)

    def _launch(self) -> None:
        self._process = subprocess.Popen(self._command)

    async def ask(self, method: str, path: str, **how: Any) -> Any:
        """Say something to it beside the adapter, with its key; what it answers, whatever its status."""
        async with httpx.AsyncClient(base_url=self.url, auth=(self.KEY, "")) as client:
            return (await client.request(method, path, **how)).json()

    async def faults(self, **faults: object) -> Any:
        """Set how bad the line is (`infra.local.payments.hooks.Faults`)."""
        return await self.ask("POST", "/_control", json=faults)
