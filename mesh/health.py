"""Truthful health: ready means that our own boxes answer, never another service.

Liveness is that the event loop turns; who gets any answer to a look at LIVE has seen that.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import grpc
import structlog
from grpc_health.v1 import health_pb2 as pb
from grpc_health.v1.health_pb2_grpc import HealthStub, add_HealthServicer_to_server

from mesh import limits
from mesh.app import ReadyCheck
from mesh.lines import story
from mesh.model import Unavailable

READY, LIVE = "", "live"

log = structlog.get_logger()


class Health:
    """Whether calls are welcome, with hysteresis both ways: a hiccup takes no traffic away, a flap gives none back."""

    def __init__(self, checks: Sequence[ReadyCheck] = ()) -> None:
        self._checks = checks
        self._against = 0
        self._stopped = self._begun = self._good = False
        self._changed = asyncio.Condition()

    @property
    def ready(self) -> bool:
        """Whether calls are welcome."""
        return self._good and not self._stopped

    async def run(self) -> None:
        """Look at the boxes until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(limits.READY_EVERY if self._begun else limits.READY_FIRST)

    async def look(self) -> None:
        """Look once; enough looks in a row that speak against what we say change it, the first at once."""
        failed = [error for error in await asyncio.gather(*map(_checked, self._checks)) if error]
        self._against = self._against + 1 if self._good == bool(failed) else 0
        needed = limits.READY_FAILURES if self._good else limits.READY_SUCCESSES if self._begun else 1
        if self._against >= needed:
            await self._turn(failed)

    async def _turn(self, failed: list[Exception]) -> None:
        self._good, self._begun, self._against = not self._good, True, 0
        log.info("ready" if self._good else "not ready", why=[story(error) for error in failed])
        await self._tell()

    async def stop(self) -> None:
        """Say that we are going, whatever the boxes do."""
        self._stopped = True
        await self._tell()

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def watch(self) -> AsyncIterator[bool]:
        """Whether calls are welcome: now, and at each change."""
        told = None
        while True:
            if told != self.ready:
                yield (told := self.ready)
            async with self._changed:
                await self._changed.wait_for(lambda: told != self.ready)


async def _checked(check: ReadyCheck) -> Exception | None:
    try:
        async with asyncio.timeout(limits.READY_TIMEOUT):
            await check()
    except Exception as error:
        return error
    return None


class HealthServicer:
    """grpc.health.v1 for READY and LIVE. Outside the pipeline, so that a full process still answers."""

    def __init__(self, health: Health) -> None:
        self._health = health
        self._watchers = 0

    def add_to(self, server: grpc.aio.Server) -> None:
        """Serve health on `server`."""
        add_HealthServicer_to_server(self, server)

    async def Check(self, request: Any, context: Any) -> Any:
        if request.service not in {READY, LIVE}:
            await context.abort(grpc.StatusCode.NOT_FOUND, "Ask for the empty name or for `live`.")
        return _response(request.service == LIVE or self._health.ready)

    async def Watch(self, request: Any, context: Any) -> AsyncIterator[Any]:
        if request.service != READY or self._watchers >= limits.WATCHERS:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "Watch the empty name; others do already.")
        self._watchers += 1
        try:
            async for ready in self._health.watch():
                yield _response(ready)
        finally:
            self._watchers -= 1


def _response(good: bool) -> Any:
    return pb.HealthCheckResponse(status="SERVING" if good else "NOT_SERVING")


async def check(socket: Path, within: float = limits.READY_TIMEOUT, of: str = READY) -> None:
    """Ask the service behind `socket`. `of`: READY or LIVE. Raises: Unavailable unless it is that."""
    async with grpc.aio.insecure_channel(f"unix:{socket}", options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
        stub: Any = HealthStub(channel)
        try:
            answer = await stub.Check(pb.HealthCheckRequest(service=of), timeout=within)
        except grpc.aio.AioRpcError as error:
            raise Unavailable(f"{socket.name} does not answer: {error.details()}") from None
    if answer.status != pb.HealthCheckResponse.SERVING:
        raise Unavailable(f"{socket.name} is not ready.")
