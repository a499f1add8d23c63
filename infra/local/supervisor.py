"""Keeps the stack's processes running: starts each when it may, restarts what dies, stops all in order."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil

from infra.ca import Authority
from infra.local.layout import Layout, Unusable, write_private
from infra.local.units import Unit, certify
from infra.settings import inherited_environment

PATIENCE = 60.0
"""Seconds that a process may take to become ready; then the start has failed."""
POLL = 0.03
CANCEL_AGAIN = 0.5
"""Seconds between two requests to a task to end."""
STOP_PATIENCE = 15.0
"""Seconds between asking a process to stop and ending it."""
BACK_OFF, LONGEST_BACK_OFF = 0.2, 10.0
STEADY = 30.0
"""Seconds after which a process counts as recovered and its next restart is quick again."""
LARGEST_LOG = 10 * 2**20
"""Bytes of a log; then the older half goes."""
HOUSEKEEPING = 10.0

WAITING, PREPARING, STARTING, READY, RESTARTING, FAILED, STOPPED = (
    "waiting",
    "preparing",
    "starting",
    "ready",
    "restarting",
    "failed",
    "stopped",
)


class NotReady(Exception):
    """A process runs and does not become ready; the message says what keeps it."""


@dataclass
class Status:
    """What is known of one process."""

    name: str
    what: str
    address: str
    state: str = WAITING
    pid: int | None = None
    born: float | None = None
    """When the process began (Unix time), which with its number names it for good."""
    restarts: int = 0
    seconds: float | None = None
    """From start to ready."""
    problem: str = ""


@dataclass
class Running:
    """One unit under supervision."""

    unit: Unit
    status: Status
    log: Path
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    process: asyncio.subprocess.Process | None = None
    task: asyncio.Task[None] | None = None


class Supervisor:
    """The stack while it runs."""

    def __init__(self, layout: Layout, units: tuple[Unit, ...]) -> None:
        self.layout = layout
        self.began = time.time()
        self.startup: float | None = None
        self._listeners: list[Callable[[], None]] = []
        logs = layout.folder("logs")
        self._running = {
            unit.name: Running(unit, Status(unit.name, unit.what, unit.address), logs / f"{unit.name}.log")
            for unit in units
        }
        self._stopping = False
        self._tick()

    def listen(self, listener: Callable[[], None]) -> None:
        """Have `listener` called whenever a status changes."""
        self._listeners.append(listener)

    @property
    def statuses(self) -> list[Status]:
        """What is known of each process, in the order of the units."""
        return [running.status for running in self._running.values()]

    async def start(self) -> None:
        """Start everything and return when all of it is ready. Raises: Unusable; then all is stopped."""
        for running in self._running.values():
            running.task = asyncio.create_task(self._keep(running), name=running.unit.name)
        pending = {asyncio.create_task(self._until_ready(running)) for running in self._running.values()}
        try:
            await asyncio.gather(*pending)
        except BaseException:
            for task in pending:
                task.cancel()
            await self.stop()
            raise
        self.startup = round(time.time() - self.began, 2)
        self._tick()

    async def serve(self, authority: Authority) -> None:
        """Look after logs and certificates until cancelled."""
        while True:
            await asyncio.sleep(HOUSEKEEPING)
            await asyncio.to_thread(certify, self.layout, authority)
            for running in self._running.values():
                _bound(running.log)

    async def restart(self, name: str) -> None:
        """Stop one process; its supervision starts it again. Raises: KeyError."""
        running = self._running[name]
        running.ready.clear()
        await self._end(running)
        await asyncio.wait_for(running.ready.wait(), PATIENCE)

    async def stop(self) -> None:
        """Stop everything: the edge first, the boxes last."""
        self._stopping = True
        order = list(self._running.values())
        boxes = [running for running in order if not running.unit.after and "sidecar" not in running.unit.name]
        edge = [running for running in order if running.unit.name == "gateway"]
        services = [running for running in order if running not in boxes and running not in edge]
        apps = [running for running in services if not running.unit.name.endswith(".sidecar")]
        sidecars = [running for running in services if running not in apps]
        for group in (edge, apps, sidecars, boxes):
            await asyncio.gather(*(self._finish(running) for running in group))

    async def _finish(self, running: Running) -> None:
        while running.task is not None and not running.task.done():
            # More than once: clients of boxes have been seen to lose a cancellation.
            running.task.cancel()
            await asyncio.wait({running.task}, timeout=CANCEL_AGAIN)
        await self._end(running)
        self._set(running, STOPPED)

    async def _until_ready(self, running: Running) -> None:
        while not running.ready.is_set():
            if running.status.state == FAILED:
                raise Unusable(running.status.problem)
            await asyncio.sleep(POLL)

    async def _keep(self, running: Running) -> None:
        """Start the unit when it may, and again whenever it ends."""
        for name in running.unit.after:
            await self._running[name].ready.wait()
        pause = BACK_OFF
        while True:
            started = time.monotonic()
            try:
                await self._run(running)
            except Unusable as error:
                return self._fail(running, str(error))
            except NotReady as error:
                if self.startup is None:
                    return self._fail(running, str(error))
                running.status.problem = str(error)
            except Exception as error:
                running.status.problem = str(error) or repr(error)
            if self.startup is None and running.status.restarts >= 2:
                return self._fail(running, _explained(running))
            if time.monotonic() - started > STEADY:
                pause = BACK_OFF
            running.status.restarts += 1
            self._set(running, RESTARTING)
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(pause * 2, LONGEST_BACK_OFF)

    async def _run(self, running: Running) -> None:
        """One life of the unit. Raises: NotReady; whatever its preparation raises."""
        unit = running.unit
        self._set(running, PREPARING)
        await unit.prepare()
        began = time.monotonic()
        with running.log.open("ab") as log:
            running.process = await asyncio.create_subprocess_exec(
                *_dying_with_us(unit.command()),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=asyncio.subprocess.STDOUT,
                env=inherited_environment() | dict(unit.environment),
                cwd=Path(__file__).parent.parent.parent,
                start_new_session=True,
            )
        self._set(running, STARTING, running.process.pid)
        ended = asyncio.create_task(running.process.wait())
        try:
            became_ready = await _becomes_ready(unit, ended)
        except NotReady:
            await self._end(running)
            raise
        if became_ready:
            running.status.seconds = round(time.monotonic() - began, 2)
            running.status.problem = ""
            self._set(running, READY, running.process.pid)
            running.ready.set()
        code = await ended
        running.status.problem = f"ended with status {code}"

    async def _end(self, running: Running) -> None:
        process = running.process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(getattr(signal, running.unit.stop_signal))
        try:
            await asyncio.wait_for(process.wait(), STOP_PATIENCE)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()

    def _fail(self, running: Running, problem: str) -> None:
        running.status.problem = problem
        self._set(running, FAILED)

    def _set(self, running: Running, state: str, pid: int | None = None) -> None:
        status = running.status
        status.state, status.pid = state, pid
        status.born = psutil.Process(pid).create_time() if pid and psutil.pid_exists(pid) else None
        self._tick()

    def _tick(self) -> None:
        told = {
            "pid": os.getpid(),
            "began": self.began,
            "startup_seconds": self.startup,
            "processes": [asdict(status) for status in self.statuses],
        }
        write_private(self.layout.data / "state.json", json.dumps(told))
        for listener in self._listeners:
            listener()


async def _becomes_ready(unit: Unit, ended: asyncio.Task[int]) -> bool:
    until = time.monotonic() + PATIENCE
    problem: Exception | None = None
    while not ended.done():
        try:
            await unit.ready()
            return True
        except Exception as error:
            problem = error
        if time.monotonic() > until:
            why = str(problem) or repr(problem)
            raise NotReady(f"{unit.name} is not ready after {PATIENCE:g} s ({why}); see ./tulle logs {unit.name}.")
        await asyncio.sleep(POLL)
    return False


def _explained(running: Running) -> str:
    lines = running.log.read_text(errors="replace").strip().splitlines()[-5:] if running.log.exists() else []
    return "\n".join([f"{running.unit.name} does not start: {running.status.problem}. Its last words:", *lines])


def _dying_with_us(command: list[str]) -> list[str]:
    """The command, ended by the kernel when the supervisor is gone, however it went (where setpriv is)."""
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        return command
    if command[0] == setpriv:
        return [setpriv, "--pdeathsig=TERM", *command[1:]]
    return [setpriv, "--pdeathsig=TERM", "--", *command]


def _bound(log: Path) -> None:
    if log.exists() and log.stat().st_size > LARGEST_LOG:
        with log.open("r+b") as file:
            file.seek(-LARGEST_LOG // 2, os.SEEK_END)
            newer = file.read().partition(b"\n")[2]
            file.seek(0)
            file.truncate()
            file.write(newer)
