"""The server that runs today: grpc.aio on the Unix socket of our own sidecar."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import grpc

from mesh import errors, limits
from mesh.call import Incoming
from mesh.channel import STATUS_DETAILS
from mesh.identity import SidecarIdentity
from mesh.model import Error
from mesh.registry import Handler

OPTIONS = (
    ("grpc.max_receive_message_length", limits.MESSAGE_BYTES),
    ("grpc.max_send_message_length", limits.MESSAGE_BYTES),
    ("grpc.keepalive_time_ms", int(limits.KEEPALIVE * 1000)),
    ("grpc.keepalive_timeout_ms", int(limits.KEEPALIVE_WAIT * 1000)),
    # The default forbids pings more often than every 5 minutes and cuts the connection of who sends them.
    ("grpc.http2.min_ping_interval_without_data_ms", int(limits.KEEPALIVE * 500)),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.so_reuseport", 0),
)
CODES = {code.value[0]: code for code in grpc.StatusCode}

Serve = Callable[[bytes, Any], Awaitable[Any]]
MethodHandler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"


def server(handlers: Mapping[str, Handler], identity: SidecarIdentity, socket: Path) -> grpc.aio.Server:
    """A server of `handlers` for one sidecar. It listens after `start()`."""
    # Capacity refuses politely; at twice its bound, grpc itself does.
    made = grpc.aio.server(options=OPTIONS, maximum_concurrent_rpcs=2 * limits.CONCURRENT_CALLS)
    services: dict[str, dict[str, MethodHandler]] = {}
    for path, handler in handlers.items():
        _, service, name = path.split("/")
        services.setdefault(service, {})[name] = _adapted(handler, identity)
    made.add_generic_rpc_handlers(
        tuple(grpc.method_handlers_generic_handler(service, methods) for service, methods in services.items())
    )
    made.add_insecure_port(f"unix:{socket}")
    return made


def once(pairs: Iterable[tuple[str, str]]) -> Mapping[str, str]:
    """Metadata by key. What was said twice was not said: nobody can put a second identity beside ours."""
    given = tuple(pairs)
    found = dict(given)
    if len(found) == len(given):
        return found
    keys = [key for key, _ in given]
    return {key: value for key, value in found.items() if keys.count(key) == 1}


def _adapted(handler: Handler, identity: SidecarIdentity) -> MethodHandler:
    """Without (de)serialisers: bytes in, bytes out."""
    if handler.method.server_streaming:
        return grpc.unary_stream_rpc_method_handler(_stream(handler, identity))
    return grpc.unary_unary_rpc_method_handler(_unary(handler, identity))


def _unary(handler: Handler, identity: SidecarIdentity) -> Serve:
    async def serve(request: bytes, context: Any) -> bytes | None:
        metadata = once(context.invocation_metadata())
        try:
            return await handler.run(request, Incoming(identity.peer(metadata), metadata, context.time_remaining()))
        except Error as error:
            await _abort(context, error, handler.domain)
            return None

    return serve


def _stream(handler: Handler, identity: SidecarIdentity) -> Serve:
    async def serve(request: bytes, context: Any) -> None:
        metadata = once(context.invocation_metadata())
        peer, timeout = identity.peer(metadata), context.time_remaining()
        try:
            await handler.run(request, Incoming(peer, metadata, timeout, context.write))
        except Error as error:
            await _abort(context, error, handler.domain)

    return serve


async def _abort(context: Any, error: Error, domain: str) -> None:
    status = errors.to_status(error, domain)
    details = ((STATUS_DETAILS, status.SerializeToString()),)
    await context.abort(CODES[status.code], status.message, details)
