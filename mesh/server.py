"""A service process from start to end: `main(build, Settings)` is the last line of each main.py."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import signal
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import TypeVar

import structlog
import uvloop
from grpc_reflection.v1alpha import reflection

from infra.settings import ServiceSettings
from mesh.app import App, Worker
from mesh.contract import contract
from mesh.health import Health
from mesh.identity import SidecarIdentity
from mesh.pipeline import Pipeline
from mesh.registry import collect
from mesh.telemetry import Telemetry
from mesh.transports import grpcaio

DRAIN = 10.0
"""Seconds that calls under way get after SIGTERM."""
ANNOUNCE = 0.5
"""Seconds between saying NOT_SERVING and closing the door, for callers to hear it."""
RESTART_LONGEST = 10.0
"""Longest pause of a worker that keeps failing."""

SettingsT = TypeVar("SettingsT", bound=ServiceSettings)
log = structlog.get_logger()


def main(build: Callable[[SettingsT], AbstractAsyncContextManager[App]], settings: type[SettingsT]) -> None:
    """Run one service until SIGTERM or SIGINT; a second signal ends it at once."""
    given = settings()
    _log_to_stdout(given.log_level)
    uvloop.run(_serve(build, given))


async def _serve(build: Callable[[SettingsT], AbstractAsyncContextManager[App]], settings: SettingsT) -> None:
    stopping = _signals()
    telemetry = Telemetry(settings.workload, settings.trace_ratio)
    async with build(settings) as app, asyncio.TaskGroup() as tasks:
        health = Health(app.ready)
        server = grpcaio.server(
            collect(app, Pipeline(app, telemetry), contract()),
            SidecarIdentity(app.workload, settings.secret("sidecar")),
            settings.listen_socket,
        )
        health.add_to(server)
        names = [name for name in contract().services if contract().services[name].domain == app.workload]
        reflection.enable_server_reflection([*names, reflection.SERVICE_NAME, "grpc.health.v1.Health"], server)
        background = [tasks.create_task(_kept_alive(worker)) for worker in (health.run, telemetry.run, *app.workers)]
        await server.start()
        os.chmod(settings.listen_socket, 0o600)
        log.info("listening", socket=str(settings.listen_socket))
        await stopping.wait()
        log.info("stopping", drain=DRAIN)
        await health.stop()
        await asyncio.sleep(ANNOUNCE)
        await server.stop(DRAIN)
        for task in background:
            task.cancel()
    log.info("stopped")


def _signals() -> asyncio.Event:
    stopping = asyncio.Event()

    def received() -> None:
        if stopping.is_set():
            os._exit(1)
        stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, received)
    return stopping


async def _kept_alive(worker: Worker) -> None:
    """Run a worker, and again with back-off when it fails."""
    pause = 0.1
    while True:
        started = asyncio.get_running_loop().time()
        try:
            await worker()
        except Exception:
            log.exception("worker failed", worker=getattr(worker, "__qualname__", repr(worker)))
        if asyncio.get_running_loop().time() - started > RESTART_LONGEST:
            pause = 0.1
        await asyncio.sleep(pause * random.uniform(0.5, 1.5))
        pause = min(RESTART_LONGEST, pause * 2)


def _log_to_stdout(level: str) -> None:
    number = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(number),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt=None, key="time"),
            structlog.processors.dict_tracebacks,
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stdout),
    )
    logging.basicConfig(level=logging.WARNING, stream=sys.stdout)
