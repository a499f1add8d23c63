"""Calls within one process, through the whole pipeline and through bytes: for tests and co-located services."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

from google.protobuf.message import Message

from mesh.app import App
from mesh.call import Peer
from mesh.contract import contract
from mesh.model import EMPTY
from mesh.pipeline import Incoming, Pipeline
from mesh.registry import Handler, collect
from mesh.telemetry import Telemetry


class InProcess:
    """Something to make a generated stub of: `UsersServiceStub(InProcess(app, Peer("gateway")))`.

    `metadata` goes with every call. Refusals are raised as the typed errors of mesh.model.
    """

    def __init__(
        self, app: App, peer: Peer, metadata: Mapping[str, str] = EMPTY, telemetry: Telemetry | None = None
    ) -> None:
        pipeline = Pipeline(app, telemetry or Telemetry(app.workload))
        self._handlers = collect(app, pipeline, contract())
        self._peer, self._metadata = peer, metadata

    def unary_unary(self, path: str, *serializers: Any, **named: Any) -> Any:
        """A callable for a unary method."""
        handler = self._handlers[path]

        async def call(request: Message, timeout: float | None = None, metadata: Mapping[str, str] = EMPTY) -> Message:
            reply = await handler.run(*self._arguments(handler, request, timeout, metadata))
            return type(reply).FromString(handler.encode(reply))

        return call

    def unary_stream(self, path: str, *serializers: Any, **named: Any) -> Any:
        """A callable for a server stream."""
        handler = self._handlers[path]

        async def call(
            request: Message, timeout: float | None = None, metadata: Mapping[str, str] = EMPTY
        ) -> AsyncIterator[Message]:
            async for reply in handler.run(*self._arguments(handler, request, timeout, metadata)):
                yield type(reply).FromString(handler.encode(reply))

        return call

    def _arguments(
        self, handler: Handler, request: Message, timeout: float | None, metadata: Mapping[str, str]
    ) -> tuple[Message, Incoming]:
        return handler.decode(request.SerializeToString()), Incoming(
            self._peer, {**self._metadata, **metadata}, timeout
        )
