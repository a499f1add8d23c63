"""Talking to a running stack: who it is, what it says of itself, what it can be asked."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

import psutil

from infra.local.layout import Layout, Unusable
from infra.local.limits import CLAIM_WITHIN, DOWN_WITHIN, LEFT_WITHIN, LOOK_EVERY


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


def claim(held: TextIO) -> None:
    """Say in the lock that we hold whose it is."""
    held.truncate(0)
    held.write(json.dumps(identity()))
    held.flush()


def identity() -> dict[str, Any]:
    """What names this process for good: its number may be another's one day."""
    return {"pid": os.getpid(), "born": psutil.Process().create_time()}


def running(layout: Layout) -> bool:
    """Whether a stack runs in this data folder."""
    with (layout.data / "lock").open("a+") as file:
        return not _taken(file)


def supervisor(layout: Layout) -> psutil.Process:
    """The process of the stack that runs in this data folder. Raises: NotRunning; Unusable if it has just begun."""
    until = time.monotonic() + CLAIM_WITHIN
    while running(layout):
        if (found := living(_read(layout.data / "lock"))) is not None:
            return found
        if time.monotonic() > until:
            raise Unusable("Another ./tulle is at work in this folder; try again when it is done.")
        time.sleep(LOOK_EVERY)
    raise NotRunning(NotRunning.__doc__)


def told(layout: Layout) -> dict[str, Any]:
    """What a stack said of itself last; nothing if none ever did."""
    return _read(layout.data / "state.json")


def _read(file: Path) -> dict[str, Any]:
    try:
        said = json.loads(file.read_text())
    except (OSError, ValueError):
        return {}
    return said if isinstance(said, dict) else {}


def state(layout: Layout) -> dict[str, Any]:
    """What the running stack says of itself, with the memory of each process.

    Raises: NotRunning; Unusable if it has just begun and said nothing yet.
    """
    process, said = supervisor(layout), told(layout)
    if living(said) != process:
        raise Unusable("The stack is starting; try again in a moment.")
    for one in said["processes"]:
        one["memory_mb"] = memory(one["pid"])
    said["memory_mb"] = round(sum(one["memory_mb"] for one in said["processes"]) + memory(said["pid"]), 1)
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
    try:
        process = supervisor(layout)
    except NotRunning:
        with lock(layout):
            if not clear_leftovers(layout):
                raise
        return
    with contextlib.suppress(psutil.NoSuchProcess):
        process.terminate()
    until = time.monotonic() + DOWN_WITHIN
    while running(layout):
        if time.monotonic() > until:
            raise Unusable(f"The stack (process {process.pid}) does not stop; see {layout.data / 'logs'}.")
        time.sleep(LOOK_EVERY)


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
    supervisor(layout)
    try:
        reader, writer = await asyncio.open_unix_connection(str(socket(layout)))
    except OSError as error:
        raise Unusable("The stack is starting or stopping; try again when ./tulle status shows it ready.") from error
    writer.write(f"{name}\n".encode())
    answer = (await reader.read()).decode()
    writer.close()
    if answer != "ok":
        raise Unusable(answer)


def clear_leftovers(layout: Layout) -> bool:
    """End what a stack that was killed has left running; whether there was anything."""
    left = [found for process in told(layout).get("processes", []) if (found := living(process)) is not None]
    for process in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGINT if _forks(process) else signal.SIGTERM)
    _, stuck = psutil.wait_procs(left, timeout=LEFT_WITHIN)
    for process in stuck:
        process.kill()
    psutil.wait_procs(stuck)
    return bool(left)


def living(said: Mapping[str, Any]) -> psutil.Process | None:
    """The process that is meant by its `pid` and when it was `born`, if it still runs."""
    try:
        process = psutil.Process(said.get("pid") or -1)
        return process if process.create_time() == said.get("born") else None
    except (psutil.NoSuchProcess, ValueError):
        return None
