"""Talking to a running stack: who it is, what it says of itself, what it can be asked."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TextIO

import psutil

from infra.local.layout import Layout, Unusable
from infra.local.limits import DOWN_WITHIN, LEFT_WITHIN


class NotRunning(Exception):
    """No stack runs here; start it with ./tulle up."""


@contextlib.contextmanager
def lock(layout: Layout) -> Iterator[TextIO]:
    """Be the only stack in this data folder. Raises: Unusable if there is one already."""
    with (layout.data / "lock").open("a+") as file:
        if not any(_taken(file) for _ in range(_TRIES)):
            raise Unusable(
                "A stack runs here already: ./tulle status shows it, ./tulle down stops it. For a second one, clone "
                "again or set TULLE_DATA_DIR, TULLE_HTTP_PORT and TULLE_HTTPS_PORT."
            )
        yield file


_TRIES = 5
"""Whoever asks whether a stack runs holds the lock for a moment."""


def _taken(file: TextIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        time.sleep(0.02)
        return False
    return True


def running(layout: Layout) -> bool:
    """Whether a stack runs in this data folder."""
    with (layout.data / "lock").open("a+") as file:
        return not _taken(file)


def told(layout: Layout) -> dict[str, Any]:
    """What a stack said of itself last. Raises: OSError if it never ran."""
    said: dict[str, Any] = json.loads((layout.data / "state.json").read_text())
    return said


def state(layout: Layout) -> dict[str, Any]:
    """What the running stack says of itself, with the memory of each process. Raises: NotRunning."""
    if not running(layout):
        raise NotRunning(NotRunning.__doc__)
    said = told(layout)
    for process in said["processes"]:
        process["memory_mb"] = memory(process["pid"])
    said["memory_mb"] = round(sum(process["memory_mb"] for process in said["processes"]) + memory(said["pid"]), 1)
    return said


def memory(pid: int | None) -> float:
    """Proportional memory (PSS) of a process and its children, in MB; 0 when it is gone."""
    if pid is None:
        return 0.0
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=False)] if _forks(process) else [process]
        return round(sum(_pss(one) for one in family) / 2**20, 1)
    except psutil.NoSuchProcess:
        return 0.0


def _forks(process: psutil.Process) -> bool:
    """Whether its children are part of it: PostgreSQL's are, the stack's own are listed by themselves."""
    return process.name() == "postgres"


def _pss(process: psutil.Process) -> int:
    try:
        full = process.memory_full_info()
        return int(getattr(full, "pss", full.uss))
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return 0


def stop(layout: Layout) -> None:
    """Stop the stack, or what a killed one has left, and wait until it is gone.

    Raises: NotRunning; Unusable if it does not stop.
    """
    if not running(layout):
        with lock(layout):
            if not clear_leftovers(layout):
                raise NotRunning(NotRunning.__doc__)
        return
    pid = told(layout)["pid"]
    os.kill(pid, signal.SIGTERM)
    until = time.monotonic() + DOWN_WITHIN
    while running(layout):
        if time.monotonic() > until:
            raise Unusable(f"The stack (process {pid}) does not stop; see {layout.data / 'logs'}.")
        time.sleep(0.05)


def socket(layout: Layout) -> Path:
    """Where a running stack takes requests."""
    return layout.run / "control.sock"


@contextlib.asynccontextmanager
async def listening(layout: Layout, restart: Callable[[str], Awaitable[None]]) -> AsyncIterator[None]:
    """Take requests to restart a process while the block runs."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        name = (await reader.readline()).decode().strip()
        try:
            await restart(name)
            writer.write(b"ok")
        except KeyError:
            writer.write(f"There is no process {name}; ./tulle status lists them.".encode())
        except (Unusable, TimeoutError):
            writer.write(f"{name} was stopped and is not ready again yet; see ./tulle logs {name}.".encode())
        writer.close()

    path = socket(layout)
    path.unlink(missing_ok=True)
    async with await asyncio.start_unix_server(serve, str(path)):
        yield


async def ask_restart(layout: Layout, name: str) -> None:
    """Restart a process of the running stack and wait until it is ready. Raises: NotRunning; Unusable."""
    if not running(layout):
        raise NotRunning(NotRunning.__doc__)
    reader, writer = await asyncio.open_unix_connection(str(socket(layout)))
    writer.write(f"{name}\n".encode())
    answer = (await reader.read()).decode()
    writer.close()
    if answer != "ok":
        raise Unusable(answer)


def clear_leftovers(layout: Layout) -> bool:
    """End what a stack that was killed has left running; whether there was anything."""
    if not (layout.data / "state.json").exists():
        return False
    left = [found for process in told(layout)["processes"] if (found := _left(process)) is not None]
    for process in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGINT if _forks(process) else signal.SIGTERM)
    _, stuck = psutil.wait_procs(left, timeout=LEFT_WITHIN)
    for process in stuck:
        process.kill()
    psutil.wait_procs(stuck)
    return bool(left)


def _left(said: dict[str, Any]) -> psutil.Process | None:
    """The process that is meant, if it still runs: the same number may be another's now."""
    try:
        process = psutil.Process(said["pid"] or -1)
        return process if process.create_time() == said["born"] else None
    except (psutil.NoSuchProcess, ValueError):
        return None
