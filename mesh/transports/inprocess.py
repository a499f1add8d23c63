"""Calls within one process, through the whole pipeline and through bytes: for tests and co-located services."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

from mesh.app import App
from mesh.call import Incoming, Peer, Send
from mesh.contract import Contract, contract
from mesh.model import EMPTY
from mesh.pipeline import Pipeline
from mesh.registry import collect
from mesh.tasks import ended
from mesh.telemetry import Telemetry


def _unheard(line: str) -> None:
    """Nobody reads what is told of these calls."""


class InProcess:
    """Something to make a generated stub of: `UsersServiceStub(InProcess(app, Peer("gateway")))`.

    `metadata` goes with every call. Refusals are raised as they are, as errors of mesh.model.
    """

    def __init__(
        self,
        app: App,
        peer: Peer,
        metadata: Mapping[str, str] = EMPTY,
        telemetry: Telemetry | None = None,
        of: Contract | None = None,
    ) -> None:
        pipeline = Pipeline(app, telemetry or Telemetry(app.workload, write=_unheard))
        self._handlers = collect(app, pipeline, of or contract())
        self._peer, self._metadata = peer, metadata

    def unary_unary(self, path: str, request_serializer: Any, response_deserializer: Any, **named: Any) -> Any:
        """A callable for a unary method."""
        handler = self._handlers[path]

        async def call(request: Any, timeout: float | None = None, metadata: Mapping[str, str] = EMPTY) -> Any:  # noqa: ASYNC109
            incoming = self._incoming(timeout, metadata)
            return response_deserializer(await handler.run(request_serializer(request), incoming))

        return call

    def unary_stream(self, path: str, request_serializer: Any, response_deserializer: Any, **named: Any) -> Any:
        """A callable for a server stream; it is cancelled when its reader goes away."""
        handler = self._handlers[path]

        async def call(
            request: Any,
            timeout: float | None = None,  # noqa: ASYNC109 (as stubs have it)
            metadata: Mapping[str, str] = EMPTY,
        ) -> AsyncIterator[Any]:
            replies = asyncio.Queue[bytes](1)
            incoming = self._incoming(timeout, metadata, replies.put)
            stream = asyncio.ensure_future(handler.run(request_serializer(request), incoming))
            try:
                while (reply := await _next(replies, stream)) is not None:
                    yield response_deserializer(reply)
                await stream
            finally:
                await ended(stream)

        return call

    def _incoming(self, timeout: float | None, metadata: Mapping[str, str], send: Send | None = None) -> Incoming:
        return Incoming(self._peer, {**self._metadata, **metadata}, timeout, send)


async def _next(replies: asyncio.Queue[bytes], stream: asyncio.Future[bytes]) -> bytes | None:
    """The next reply, or None when the stream is over and all are read."""
    getting = asyncio.ensure_future(replies.get())
    try:
        await asyncio.wait({getting, stream}, return_when=asyncio.FIRST_COMPLETED)
        return getting.result() if getting.done() else None if replies.empty() else replies.get_nowait()
    finally:
        getting.cancel()
