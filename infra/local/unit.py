"""What the stack runs: one process, how it starts, what it waits for, when it is ready."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path


async def _nothing() -> None:
    """No preparation."""


def _fine() -> None:
    """No objection."""


@dataclass(frozen=True)
class Unit:
    """One process. `prepare` runs before each start and may take its time; `ready` raises until it is.

    `check` runs before anything of the stack starts. Raises: Unusable if this unit could not.
    """

    name: str
    what: str
    command: Callable[[], list[str]]
    ready: Callable[[], Awaitable[None]]
    address: str
    after: tuple[str, ...] = ()
    """Units that must be ready first; they are stopped after it."""
    check: Callable[[], None] = _fine
    prepare: Callable[[], Awaitable[None]] = _nothing
    environment: Mapping[str, str] = field(default_factory=dict)
    stop_signal: str = "SIGTERM"


def sidecar_name(workload: str) -> str:
    """The name of a workload's sidecar among the units."""
    return f"{workload}.sidecar"


async def envoy_ready(admin: Path) -> None:
    """Raises: OSError, ValueError unless the Envoy behind this admin socket serves."""
    async with asyncio.timeout(2):
        reader, writer = await asyncio.open_unix_connection(str(admin))
        try:
            writer.write(b"GET /ready HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n")
            answer = await reader.read()
        finally:
            writer.close()
    if b" 200 " not in answer.split(b"\r\n", 1)[0]:
        raise ValueError("not serving yet")


async def listening(socket: Path) -> None:
    """Raises: OSError unless somebody listens on this Unix socket."""
    _, writer = await asyncio.open_unix_connection(str(socket))
    writer.close()


async def listening_on(port: int) -> None:
    """Raises: OSError unless somebody listens on this port of loopback."""
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.close()
