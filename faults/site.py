"""A stack for one run: in a folder and on ports of its own, whose processes may be harmed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import httpx

from infra.local import control
from infra.local.layout import FIRST_PORT, Layout, free, layout
from infra.local.mailbox import Mailbox
from infra.local.stack import WITH_PARENT
from infra.settings import StackSettings, inherited_environment
from mesh.model import Error

PATIENCE = 90.0
"""Seconds in which a stack is up, on a machine that does other things too."""
RESTART = 20.0
"""Seconds in which a database is back."""


@dataclass(frozen=True)
class Site:
    """A running stack."""

    layout: Layout
    mailbox: Mailbox

    @property
    def url(self) -> str:
        """Where people reach it."""
        return self.layout.public_url

    def pid(self, name: str) -> int | None:
        """The process of that name now, if there is one."""
        processes = control.told(self.layout).get("processes", [])
        found = [process["pid"] for process in processes if process["name"] == name]
        return int(found[0]) if found and found[0] else None

    def signal(self, name: str, number: signal.Signals) -> bool:
        """Send a signal to a process; whether it was there."""
        if (pid := self.pid(name)) is None:
            return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
            return True
        return False

    def ready(self) -> bool:
        """Whether every process is."""
        processes = control.told(self.layout).get("processes", [])
        return bool(processes) and all(process["state"] == "ready" for process in processes)

    async def rows(self, workload: str, statement: str, *arguments: object) -> list[dict[str, Any]]:
        """What a statement finds in the schema of a workload: evidence, where no RPC tells."""
        async with self._connected(workload, self.layout.secret(workload, "postgres")) as connection:
            return [dict(row) for row in await connection.fetch(statement, *arguments)]

    async def cut_connections(self) -> None:
        """End every connection to the database."""
        async with self._connected("postgres", self.layout.secret("stack", "postgres")) as connection:
            await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename <> current_user"
            )

    async def provider(self, line: Mapping[str, object] | None = None) -> dict[str, Any]:
        """What the payment provider has under way, after setting how bad its line is. Raises: httpx.HTTPError."""
        key = self.layout.secret("billing", "stripe-key")
        url = f"http://127.0.0.1:{self.layout.ports['payments']}/_control"
        async with httpx.AsyncClient(headers={"Authorization": f"Bearer {key}"}, timeout=3) as client:
            answer = await (client.get(url) if line is None else client.post(url, json=dict(line)))
        found: dict[str, Any] = answer.raise_for_status().json()
        return found

    @asynccontextmanager
    async def _connected(self, user: str, password: str) -> AsyncIterator[asyncpg.Connection]:
        connection = await self._connection(user, password)
        try:
            yield connection
        finally:
            await connection.close(timeout=5)

    async def _connection(self, user: str, password: str) -> asyncpg.Connection:
        """A new one; a database that is just starting or stopping is waited for."""
        until = time.monotonic() + RESTART
        while True:
            try:
                return await asyncpg.connect(
                    host=str(self.layout.postgres_socket),
                    user=user,
                    password=password,
                    database="tulle",
                    timeout=5,
                    server_settings={"search_path": user},
                )
            except (OSError, asyncpg.CannotConnectNowError):
                if time.monotonic() > until:
                    raise
                await asyncio.sleep(0.2)

    def logs(self) -> Iterator[tuple[str, str]]:
        """Name and text of each process's log."""
        for file in sorted((self.layout.data / "logs").glob("*.log*")):
            yield file.name, file.read_text(errors="replace")


@asynccontextmanager
async def site(plant: str = "") -> AsyncIterator[Site]:
    """Start a stack, perhaps with a planted bug; stop it and forget it afterwards."""
    with tempfile.TemporaryDirectory(prefix="tulle-faults-") as folder:
        Path(folder).chmod(0o711)  # noqa: ASYNC240 (PostgreSQL, as another user, goes through it)
        settings = _settings(Path(folder) / "data")
        given = {
            "TULLE_DATA_DIR": str(settings.data_dir),
            "TULLE_HTTP_PORT": str(settings.http_port),
            "TULLE_HTTPS_PORT": str(settings.https_port),
        }
        command = (sys.executable, "-m", "faults.planted", plant, WITH_PARENT)
        process = await asyncio.create_subprocess_exec(
            *command, env=inherited_environment() | given, start_new_session=True
        )
        try:
            stack = await _started(settings, process)
            yield Site(stack, Mailbox(stack.folder("mail")))
        finally:
            process.terminate()
            await process.wait()


def _settings(folder: Path) -> StackSettings:
    # By chance, whatever the seed: several stacks may be starting at once.
    candidates = random.SystemRandom().sample(range(FIRST_PORT + 8000, FIRST_PORT + 8900), 900)
    ports = (port for port in candidates if free(port))
    return StackSettings(data_dir=folder, http_port=next(ports), https_port=next(ports))


async def _started(settings: StackSettings, process: asyncio.subprocess.Process) -> Layout:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and process.returncode is None:
        await asyncio.sleep(0.1)
        if control.told(stack := layout(settings)).get("startup_seconds") is not None:
            return stack
    raise SystemExit("The stack for the harness does not start; try ./tulle up to see why.")


async def settled(true: Callable[[], Any], seconds: float) -> bool:
    """Wait until something holds, looking again and again; whether it came to that in time."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with contextlib.suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError, httpx.HTTPError, Error):
            found = true()
            if await found if asyncio.iscoroutine(found) else found:
                return True
        await asyncio.sleep(0.2)
    return False
