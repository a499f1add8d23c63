"""Truthful health (grpc.health.v1): ready means that our own boxes answer, never another service.

Liveness is that this code runs at all: the event loop turns.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import grpc
import structlog
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer

from mesh.app import ReadyCheck
from mesh.model import Unavailable, require

EVERY = 1.0
"""Seconds between two looks at the boxes."""
CHECK_TIMEOUT = 2.0
FAILURES = 3
"""Looks in a row that must fail before the service is not ready: one hiccup takes no traffic away."""

log = structlog.get_logger()


class Health:
    """Keeps the health servicer true."""

    def __init__(self, checks: Sequence[ReadyCheck]) -> None:
        self._checks = checks
        self._failures = FAILURES
        self._stopped = False
        self.servicer = HealthServicer()

    def add_to(self, server: grpc.aio.Server) -> None:
        """Serve health on `server`."""
        health_pb2_grpc.add_HealthServicer_to_server(self.servicer, server)

    async def run(self) -> None:
        """Look at the boxes until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(EVERY)

    async def look(self) -> None:
        """Look once and say what was found."""
        failed = [error for error in await asyncio.gather(*map(_checked, self._checks)) if error]
        before = self.ready
        self._failures = self._failures + 1 if failed else 0
        if before != self.ready:
            log.info("ready" if self.ready else "not ready", why="; ".join(map(str, failed)))
        if not self._stopped:
            await self.servicer.set("", _SERVING if self.ready else _NOT_SERVING)

    @property
    def ready(self) -> bool:
        """Whether calls are welcome."""
        return self._failures < FAILURES and not self._stopped

    async def stop(self) -> None:
        """Say that we are going, whatever the boxes do."""
        self._stopped = True
        await self.servicer.set("", _NOT_SERVING)


_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


async def check(socket: Path) -> None:
    """Raises: grpc.aio.AioRpcError, Unavailable unless the service on this socket is ready."""
    async with grpc.aio.insecure_channel(f"unix:{socket}") as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=CHECK_TIMEOUT)
        require(answer.status == _SERVING, Unavailable)


async def _checked(check: ReadyCheck) -> Exception | None:
    try:
        async with asyncio.timeout(CHECK_TIMEOUT):
            await check()
    except Exception as error:
        return error
    return None
