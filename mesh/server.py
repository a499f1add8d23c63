"""A service process from start to end: `main(build, Settings)` is the last line of each main.py."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import grpc
import structlog
import uvloop

from infra.settings import Role, ServiceSettings
from mesh import limits, lines
from mesh.app import App, Worker
from mesh.contract import Contract, contract
from mesh.health import Health, HealthServicer
from mesh.identity import SidecarIdentity
from mesh.pipeline import Pipeline
from mesh.reflection import ReflectionServicer
from mesh.registry import collect
from mesh.tasks import ended
from mesh.telemetry import Telemetry
from mesh.transports import grpcaio
from mesh.workers import kept_alive
from services.topology import Workload

SettingsT = TypeVar("SettingsT", bound=ServiceSettings)
Build = Callable[[SettingsT], AbstractAsyncContextManager[App]]

log = structlog.get_logger()


def main(build: Build[SettingsT], settings: type[SettingsT]) -> None:
    """Run one service until SIGTERM or SIGINT; a second signal ends it at once."""
    given = settings()  # type: ignore[call-arg]
    out = lines.Lines()
    lines.configure(given.log_level, out)
    try:
        uvloop.run(_process(build, given, out))
    finally:
        out.close()


async def _process(build: Build[SettingsT], settings: SettingsT, out: lines.Lines) -> None:
    stopping = _signals()
    async with build(settings) as whole:
        app = in_role(whole, settings.role)
        telemetry = Telemetry(app.workload, settings.trace_ratio, out.write, settings.log_level)
        identity = SidecarIdentity(app.workload, settings.secret("sidecar"))
        async with serving(app, telemetry, identity, settings.listen_socket):
            # What is there now stays: the collector need not look at it again and again.
            gc.collect()
            gc.freeze()
            log.info("listening", workload=app.workload, socket=str(settings.listen_socket))
            await stopping.wait()
            log.info("stopping", drain=limits.DRAIN)
    log.info("stopped")


def in_role(app: App, role: Role) -> App:
    """The part of an app that a process of this role runs: one that works answers nothing but health."""
    if role == "serve":
        return replace(app, jobs=())
    return replace(app, servicers=()) if role == "work" else app


@contextlib.asynccontextmanager
async def serving(
    app: App, telemetry: Telemetry, identity: SidecarIdentity, socket: Path, of: Contract | None = None
) -> AsyncIterator[Health]:
    """The app with its workers, served on `socket`; leaving says NOT_SERVING, lets calls end, then stops all.

    `of`: the contract, if it is not that of this build.
    """
    health = Health(app.ready)
    pipeline = Pipeline(app, telemetry)
    server = _server(app, pipeline, identity, health, socket, of or contract())
    async with _background(health.run, telemetry.run, *app.workers, *app.jobs):
        await server.start()
        _only_ours(socket)
        try:
            yield health
        finally:
            await health.stop()
            await asyncio.sleep(limits.ANNOUNCE)
            await pipeline.streams.end()
            await server.stop(limits.DRAIN)


def _server(
    app: App, pipeline: Pipeline, identity: SidecarIdentity, health: Health, socket: Path, of: Contract
) -> grpc.aio.Server:
    handlers = collect(app, pipeline, of)
    if app.servicers:
        _require_all(of.workload(app.workload), {handler.method.service for handler in handlers.values()})
    server = grpcaio.server(handlers, identity, socket)
    HealthServicer(health).add_to(server)
    ReflectionServicer(sorted({handler.method.service for handler in handlers.values()}), identity).add_to(server)
    return server


def _require_all(workload: Workload, served: set[str]) -> None:
    """Raises: ValueError unless these are the services that the topology has for the workload."""
    if odd := served ^ set(workload.serves):
        raise ValueError(f"{workload.name}: its servicers and services/topology.py differ in {', '.join(sorted(odd))}")


def _only_ours(socket: Path) -> None:
    socket.chmod(0o600)


@contextlib.asynccontextmanager
async def _background(*workers: Worker) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(kept_alive(worker)) for worker in workers]
    try:
        yield
    finally:
        await ended(*tasks)


def _signals() -> asyncio.Event:
    stopping = asyncio.Event()

    def received() -> None:
        if stopping.is_set():
            os._exit(1)
        stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, received)
    return stopping
