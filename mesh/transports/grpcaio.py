"""The server that runs today: grpc.aio on the Unix socket of our own sidecar."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.message import Message

from mesh import errors
from mesh.identity import SidecarIdentity
from mesh.model import Error
from mesh.pipeline import Incoming
from mesh.registry import Handler

STATUS_DETAILS = "grpc-status-details-bin"
LARGEST_MESSAGE = 4 * 2**20
CONCURRENT_CALLS = 512
"""Calls at once in a process; the next is refused with RESOURCE_EXHAUSTED rather than queued."""
KEEPALIVE = (
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    # The server's default rejects pings more often than every 5 minutes.
    ("grpc.http2.min_ping_interval_without_data_ms", 30_000),
)
CODES = {code.value[0]: code for code in grpc.StatusCode}


def server(handlers: Mapping[str, Handler], identity: SidecarIdentity, socket: Path) -> grpc.aio.Server:
    """A server of `handlers` for one sidecar. It listens after `start()`."""
    options = (*KEEPALIVE, ("grpc.max_receive_message_length", LARGEST_MESSAGE), ("grpc.so_reuseport", 0))
    made = grpc.aio.server(options=options, maximum_concurrent_rpcs=CONCURRENT_CALLS)
    services: dict[str, dict[str, grpc.RpcMethodHandler]] = {}
    for path, handler in handlers.items():
        _, service, name = path.split("/")
        services.setdefault(service, {})[name] = _adapted(handler, identity)
    made.add_generic_rpc_handlers(
        tuple(grpc.method_handlers_generic_handler(service, methods) for service, methods in services.items())
    )
    made.add_insecure_port(f"unix:{socket}")
    return made


def _adapted(handler: Handler, identity: SidecarIdentity) -> grpc.RpcMethodHandler:
    if handler.method.server_streaming:
        return grpc.unary_stream_rpc_method_handler(_stream(handler, identity), handler.decode, handler.encode)
    return grpc.unary_unary_rpc_method_handler(_unary(handler, identity), handler.decode, handler.encode)


def _unary(handler: Handler, identity: SidecarIdentity) -> Callable[[Message, Any], Awaitable[Message | None]]:
    domain = _domain(handler)

    async def serve(request: Message, context: Any) -> Message | None:
        try:
            return await handler.run(request, _incoming(context, identity))  # type: ignore[no-any-return]
        except Error as error:
            return await _abort(context, error, domain)

    return serve


def _stream(handler: Handler, identity: SidecarIdentity) -> Callable[[Message, Any], AsyncIterator[Message]]:
    domain = _domain(handler)

    async def serve(request: Message, context: Any) -> AsyncIterator[Message]:
        try:
            async for reply in handler.run(request, _incoming(context, identity)):
                yield reply
        except Error as error:
            await _abort(context, error, domain)

    return serve


def _incoming(context: Any, identity: SidecarIdentity) -> Incoming:
    metadata = dict(context.invocation_metadata())
    return Incoming(identity.peer(metadata), metadata, context.time_remaining())


def _domain(handler: Handler) -> str:
    return f"{handler.method.service.split('.')[1]}.tulle"


async def _abort(context: Any, error: Error, domain: str) -> None:
    status = errors.to_status(error, domain)
    details = ((STATUS_DETAILS, status.SerializeToString()),)
    await context.abort(CODES[status.code], status.message, details)
