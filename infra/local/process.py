"""One life of one process: started with its log, watched until it is ready, ended politely."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import time
from asyncio.subprocess import DEVNULL, STDOUT, Process
from pathlib import Path

from infra.local.limits import LOG_BYTES, LOOK_EVERY, START_WITHIN, STOP_WITHIN
from infra.local.unit import Unit
from infra.settings import inherited_environment

ROOT = Path(__file__).parent.parent.parent


class NotReady(Exception):
    """The process ended before it was ready."""


class Stuck(NotReady):
    """The process runs and does not become ready."""


async def start(unit: Unit, log: Path) -> Process:
    """Start the unit's process, in a session of its own: a terminal's Ctrl-C is for the stack, which stops all."""
    with log.open("ab") as output:
        return await asyncio.create_subprocess_exec(
            *_dying_with_us(unit.command(), unit.stop_signal),
            stdin=DEVNULL,
            stdout=output,
            stderr=STDOUT,
            # One clock for all logs, which are read as one.
            env=inherited_environment() | {"TZ": "UTC"} | dict(unit.environment),
            cwd=ROOT,
            start_new_session=True,
        )


async def until_ready(unit: Unit, process: Process) -> None:
    """Return when the unit says that it is ready. Raises: NotReady, Stuck."""
    until = time.monotonic() + START_WITHIN
    while process.returncode is None:
        try:
            return await unit.ready()
        except Exception as error:
            if time.monotonic() > until:
                raise Stuck(f"not ready after {START_WITHIN:g} s ({error or repr(error)})") from error
        await asyncio.sleep(LOOK_EVERY)
    raise NotReady(how_it_ended(process.returncode))


async def end(unit: Unit, process: Process) -> None:
    """Ask the process to stop, wait, and end it with all that it started if it does not."""
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.Signals[unit.stop_signal])
    try:
        await asyncio.wait_for(process.wait(), STOP_WITHIN)
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


def how_it_ended(code: int) -> str:
    """What became of a process, for people."""
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"


def last_words(log: Path, lines: int = 5) -> list[str]:
    """The end of a log, but for the addresses that a crash of Envoy prints behind its reason."""
    said = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
    return [line for line in said if "[backtrace]" not in line][-lines:]


def bound(log: Path) -> None:
    """Let the older half of a log go when it has become too long; the process goes on appending to it."""
    if not log.exists() or log.stat().st_size <= LOG_BYTES:
        return
    with log.open("r+b") as file:
        file.seek(-LOG_BYTES // 2, os.SEEK_END)
        newer = file.read().partition(b"\n")[2]
        file.seek(0)
        file.truncate()
        file.write(newer)


def _dying_with_us(command: list[str], stop_signal: str) -> list[str]:
    """The command, ended by the kernel when the supervisor is gone, however it went (where setpriv is)."""
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        return command
    mortal = [setpriv, f"--pdeathsig={stop_signal.removeprefix('SIG')}"]
    return [*mortal, *command[1:]] if command[0] == setpriv else [*mortal, "--", *command]
