"""A stack of its own for the measurements, with people who are signed in, and the peer beside it."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from bench.load import addresses
from infra.local import control
from infra.local.layout import FIRST_PORT, Layout, free, layout
from infra.local.mailbox import Mailbox
from infra.local.stack import WITH_PARENT
from infra.migrations import dsn
from infra.settings import StackSettings, inherited_environment

PEOPLE = 120
"""Each may read 600 times a minute: together enough for rounds that nobody limits."""
PASSWORD = "correct horse battery"  # noqa: S105 (of people who live as long as the benchmark)
PATIENCE = 60.0


@dataclass(frozen=True)
class Platform:
    """A running stack. `tokens`: access tokens of its people."""

    layout: Layout
    tokens: Sequence[str]

    def pid(self, name: str) -> int:
        """The process of that name in ./tulle status."""
        processes = control.told(self.layout)["processes"]
        return next(int(process["pid"]) for process in processes if process["name"] == name)


@asynccontextmanager
async def platform() -> AsyncIterator[Platform]:
    """Start a stack with PEOPLE signed in; stop it and forget it afterwards."""
    with tempfile.TemporaryDirectory(prefix="tulle-bench-") as folder:
        http, https = _two_ports()
        settings = StackSettings(data_dir=Path(folder) / "data", http_port=http, https_port=https)
        environment = {
            "TULLE_DATA_DIR": str(settings.data_dir),
            "TULLE_HTTP_PORT": str(http),
            "TULLE_HTTPS_PORT": str(https),
        }
        command = (sys.executable, "-m", "infra.local.stack", WITH_PARENT)
        process = await asyncio.create_subprocess_exec(*command, env=inherited_environment() | environment)
        try:
            stack = await _started(settings, process)
            yield Platform(stack, await _arrivals(stack))
        finally:
            process.terminate()
            await process.wait()


async def _started(settings: StackSettings, process: asyncio.subprocess.Process) -> Layout:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and process.returncode is None:
        await asyncio.sleep(0.1)
        if control.told(stack := layout(settings)).get("startup_seconds") is not None:
            return stack
    raise SystemExit("The stack for the benchmark does not start; try ./tulle up to see why.")


def _two_ports() -> tuple[int, int]:
    first, second, *_ = (port for port in range(FIRST_PORT + 9000, FIRST_PORT + 9900) if free(port))
    return first, second


async def _arrivals(stack: Layout) -> list[str]:
    sources = addresses()
    people = [(f"person{number}@example.com", next(sources)) for number in range(PEOPLE)]
    gate, box = asyncio.Semaphore(8), Mailbox(stack.folder("mail"))

    async def arrive(email: str, source: str) -> str:
        transport = httpx.AsyncHTTPTransport(local_address=source)
        async with gate, httpx.AsyncClient(base_url=stack.public_url, transport=transport, timeout=20) as client:
            await _ask(client, "/v1/auth:signUp", {"email": email})
            await _ask(client, "/v1/auth:verifyEmail", {"token": await _mailed(box, email), "password": PASSWORD})
            answer = await _ask(client, "/v1/auth:logIn", {"email": email, "password": PASSWORD})
            token = str(answer["tokens"]["accessToken"])
            read = await client.get("/v1/users/me", headers={"authorization": f"Bearer {token}"})
            read.raise_for_status()
            return token

    return list(await asyncio.gather(*(arrive(*person) for person in people)))


async def _ask(client: httpx.AsyncClient, path: str, body: dict[str, str]) -> dict[str, Any]:
    answer = await client.post(path, json=body)
    answer.raise_for_status()
    found: dict[str, Any] = answer.json()
    return found


async def _mailed(box: Mailbox, email: str) -> str:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        for mail in box.mails(email):
            return next(line for line in mail.text.splitlines() if line.startswith("mail_"))
        await asyncio.sleep(0.1)
    raise SystemExit(f"No mail reached {email}; see the log of notifications.")


@asynccontextmanager
async def peer(stack: Layout, sql: str) -> AsyncIterator[tuple[int, int]]:
    """The FastAPI peer on the same database; yields its port and process id."""
    port = next(port for port in range(FIRST_PORT + 9900, FIRST_PORT + 9990) if free(port))
    async with httpx.AsyncClient() as client:
        jwks = (await client.get(f"{stack.public_url}/.well-known/jwks.json")).text
    password = stack.secret("users", "postgres")
    environment = {
        "TULLE_PEER_POSTGRES": dsn("users", password, str(stack.postgres_socket), 5432, "tulle"),
        "TULLE_PEER_SQL": sql,
        "TULLE_PEER_JWKS": json.dumps(json.loads(jwks)),
        "TULLE_PEER_ISSUER": stack.public_url,
    }
    command = [sys.executable, "-m", "uvicorn", "bench.peer:app", "--port", str(port), "--log-level", "warning"]
    command += ["--loop", "uvloop", "--http", "httptools", "--no-access-log"]
    process = await asyncio.create_subprocess_exec(*command, env=inherited_environment() | environment)
    try:
        await _listening(port)
        yield port, process.pid
    finally:
        process.terminate()
        await process.wait()


async def _listening(port: int) -> None:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.05)
            continue
        with closing(writer):
            return
    raise SystemExit("The peer does not start.")
