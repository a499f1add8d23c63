"""Keeps the stack's processes running: starts each when it may, restarts what dies, stops all in order."""

from __future__ import annotations

import asyncio
import json
import random
import time
from asyncio.subprocess import Process
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil

from infra.ca import Authority
from infra.local import control, process
from infra.local.layout import Layout, Unusable, write_private
from infra.local.limits import (
    BACK_OFF,
    BACK_OFF_LONGEST,
    LOOK_EVERY,
    PROBE_AGAIN,
    PROBE_EVERY,
    PROBE_WITHIN,
    STACK_CARE,
    START_TRIES,
    START_WITHIN,
    STEADY,
)
from infra.local.unit import Unit
from infra.local.units import certify
from mesh.tasks import ended

WAITING, PREPARING, STARTING, READY = "waiting", "preparing", "starting", "ready"
NOT_READY, RESTARTING, FAILED, STOPPED = "not ready", "restarting", "failed", "stopped"


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
    """Times that it was started again because it had died."""
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
    restarting: asyncio.Lock = field(default_factory=asyncio.Lock)
    process: Process | None = None
    task: asyncio.Task[None] | None = None


class Supervisor:
    """The stack while it runs. `began`: when its start began (Unix time)."""

    def __init__(self, layout: Layout, units: tuple[Unit, ...], began: float) -> None:
        self.layout = layout
        self.startup: float | None = None
        self._began = began
        self._listeners: list[Callable[[], None]] = []
        logs = layout.folder("logs")
        self._running = {
            unit.name: Running(unit, Status(unit.name, unit.what, unit.address), logs / f"{unit.name}.log")
            for unit in units
        }
        self._stopping = False
        self._problem = ""
        self._tell()

    def listen(self, listener: Callable[[], None]) -> None:
        """Have `listener` called whenever a status changes."""
        self._listeners.append(listener)

    @property
    def statuses(self) -> list[Status]:
        """What is known of each process, in the order of the units."""
        return [running.status for running in self._running.values()]

    async def start(self) -> None:
        """Start everything and return when all of it is ready. Raises: Unusable; then all is stopped."""
        try:
            for running in self._running.values():
                running.unit.check()
            for running in self._running.values():
                running.task = asyncio.create_task(self._keep(running), name=running.unit.name)
            await self._until(lambda running: running.ready.is_set(), *self._running.values())
        except BaseException:
            await self.stop()
            raise
        self.startup = round(time.time() - self._began, 2)
        self._tell()

    async def look_after(self, authority: Authority) -> None:
        """Keep logs short and certificates young until cancelled."""
        while True:
            await asyncio.sleep(STACK_CARE)
            try:
                await asyncio.to_thread(certify, self.layout, authority)
                for running in self._running.values():
                    process.bound(running.log)
            except OSError as error:  # As on a full disk, which may have room again the next time.
                self._problem = f"Certificates and logs cannot be looked after: {error}."
            else:
                self._problem = ""
            self._tell()

    async def restart(self, name: str) -> None:
        """Stop one process, start it again and wait until it is ready.

        Raises: KeyError; Unusable, TimeoutError if it does not come back.
        """
        running = self._running[name]
        # One after the other: of two tasks for one unit only the last would be known, and ended.
        async with running.restarting:
            await self._finish(running)
            if not self._stopping:
                running.task = asyncio.create_task(self._keep(running), name=name)
                async with asyncio.timeout(START_WITHIN):
                    await self._until(lambda running: running.ready.is_set(), running)

    async def stop(self) -> None:
        """Stop everything, dependents before what they depend on."""
        self._stopping = True
        for level in levels([running.unit for running in self._running.values()]):
            await asyncio.gather(*(self._finish(self._running[name]) for name in level))

    async def _until(self, true: Callable[[Running], bool], *waited: Running) -> None:
        """Raises: Unusable if one of them fails for good."""
        while not all(map(true, waited)):
            for running in waited:
                if running.status.state == FAILED:
                    raise Unusable(running.status.problem)
            await asyncio.sleep(LOOK_EVERY)

    async def _finish(self, running: Running) -> None:
        if running.task is not None:
            await ended(running.task)
        if running.process is not None:
            await process.end(running.unit, running.process)
        self._set(running, STOPPED)

    async def _keep(self, running: Running) -> None:
        """Start the unit when it may, and again whenever it ends."""
        for name in running.unit.after:
            await self._running[name].ready.wait()
        pause = 0.0
        while True:
            began = time.monotonic()
            try:
                await self._live(running)
            except Unusable as error:
                return self._fail(running, str(error))
            except Exception as error:
                running.status.problem = str(error) or repr(error)
                if self.startup is None and isinstance(error, process.Stuck):
                    return self._fail(running, _explained(running))
            running.status.restarts += 1
            if self.startup is None and running.status.restarts == START_TRIES:
                return self._fail(running, _explained(running))
            self._set(running, RESTARTING)
            pause = next_pause(pause, time.monotonic() - began)
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))

    async def _live(self, running: Running) -> None:
        """One life of the unit. Raises: NotReady; what its preparation raises."""
        unit = running.unit
        self._set(running, PREPARING)
        await unit.prepare()
        began = time.monotonic()
        running.process = await process.start(unit, running.log)
        self._set(running, STARTING, running.process.pid)
        try:
            await process.until_ready(unit, running.process)
        except process.NotReady:
            await process.end(unit, running.process)
            raise
        running.status.seconds = round(time.monotonic() - began, 2)
        running.status.problem = ""
        self._set(running, READY, running.process.pid)
        running.ready.set()
        try:
            running.status.problem = process.how_it_ended(await self._watched(running, running.process))
        finally:
            running.ready.clear()

    async def _watched(self, running: Running, watched: Process) -> int:
        """The status with which a process ends that was ready; until then, whether it still answers."""
        ending = asyncio.create_task(watched.wait())
        try:
            while not (await asyncio.wait({ending}, timeout=_until_next_probe(running.status)))[0]:
                await self._probe(running, watched.pid)
            return ending.result()
        finally:
            ending.cancel()

    async def _probe(self, running: Running, pid: int) -> None:
        try:
            async with asyncio.timeout(PROBE_WITHIN):
                await running.unit.ready()
            state, running.status.problem = READY, ""
        except TimeoutError:
            state, running.status.problem = NOT_READY, f"no answer within {PROBE_WITHIN:g} s"
        except Exception as error:
            state, running.status.problem = NOT_READY, str(error) or repr(error)
        if state != running.status.state:
            self._set(running, state, pid)

    def _fail(self, running: Running, problem: str) -> None:
        running.status.problem = problem
        self._set(running, FAILED)

    def _set(self, running: Running, state: str, pid: int | None = None) -> None:
        status = running.status
        status.state, status.pid = state, pid
        status.born = _born(pid)
        self._tell()

    def _tell(self) -> None:
        told = {
            **control.identity(),
            "startup_seconds": self.startup,
            "url": self.layout.public_url,
            "data_dir": str(self.layout.data),
            "run_dir": str(self.layout.run),
            "problem": self._problem,
            "processes": [asdict(status) for status in self.statuses],
        }
        write_private(self.layout.data / "state.json", json.dumps(told))
        for listener in self._listeners:
            listener()


def levels(units: Sequence[Unit]) -> Iterator[list[str]]:
    """Names in the order of stopping: first those on which nobody left depends."""
    left = {unit.name: unit for unit in units}
    while left:
        needed = {name for unit in left.values() for name in unit.after}
        level = [name for name in left if name not in needed]
        assert level, "units wait for each other"
        for name in level:
            del left[name]
        yield level


def next_pause(last: float, lived: float) -> float:
    """Seconds before the next start of a process that lived so long: doubling, until one life was steady."""
    return BACK_OFF if not last or lived > STEADY else min(last * 2, BACK_OFF_LONGEST)


def _until_next_probe(status: Status) -> float:
    return PROBE_EVERY if status.state == READY else PROBE_AGAIN


def _born(pid: int | None) -> float | None:
    try:
        return psutil.Process(pid).create_time() if pid else None
    except psutil.NoSuchProcess:
        return None


def _explained(running: Running) -> str:
    name, problem = running.unit.name, running.status.problem
    return "\n".join([f"{name} does not start: {problem}. Its last words:", *process.last_words(running.log)])
