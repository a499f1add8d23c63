"""The server that runs today: grpc.aio on the Unix socket of our own sidecar."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import grpc
from google.rpc import status_pb2

from mesh import errors, limits
from mesh.call import Incoming, Peer
from mesh.channel import STATUS_DETAILS
from mesh.identity import SidecarIdentity
from mesh.messages import message_class
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
    # Capacity refuses politely; at twice its bounds, HTTP/2 itself makes the sidecar wait. grpc.aio's own
    # `maximum_concurrent_rpcs` would do it in Python, for a tenth of the throughput.
    ("grpc.max_concurrent_streams", 2 * (limits.CONCURRENT_CALLS + limits.CONCURRENT_STREAMS)),
)
CODES = {code.value[0]: code for code in grpc.StatusCode}


def server(handlers: Mapping[str, Handler], identity: SidecarIdentity, socket: Path) -> grpc.aio.Server:
    """A server of `handlers` for one sidecar. It listens after `start()`."""
    made = grpc.aio.server(options=OPTIONS)
    made.add_generic_rpc_handlers((_Handlers(handlers, identity),))
    made.add_insecure_port(f"unix:{socket}")
    return made


def once(pairs: Sequence[tuple[str, str]]) -> Mapping[str, str]:
    """Metadata by key. What was said twice was not said: nobody can put a second identity beside ours."""
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    keys = [key for key, _ in pairs]
    return {key: value for key, value in found.items() if keys.count(key) == 1}


class _Handlers(grpc.GenericRpcHandler):
    """Finds the handler of a call. grpc has read the metadata by then; asking it again would cost as much again."""

    def __init__(self, handlers: Mapping[str, Handler], identity: SidecarIdentity) -> None:
        self._handlers, self._identity = handlers, identity

    def service(self, handler_call_details: Any) -> Any:
        handler = self._handlers.get(handler_call_details.method)
        if handler is None:
            return None
        metadata = once(handler_call_details.invocation_metadata)
        kind = _Stream if handler.method.server_streaming else _Unary
        return kind(handler, self._identity.peer(metadata), metadata)


class _Served:
    """One call, in the form in which grpc wants a method's handler: bytes in, bytes out."""

    __slots__ = ("_handler", "_metadata", "_peer")
    request_streaming = response_streaming = False
    request_deserializer = response_serializer = None

    def __init__(self, handler: Handler, peer: Peer, metadata: Mapping[str, str]) -> None:
        self._handler, self._peer, self._metadata = handler, peer, metadata


class _Unary(_Served):
    __slots__ = ()

    async def unary_unary(self, request: bytes, context: Any) -> bytes | None:
        incoming = Incoming(self._peer, self._metadata, context.time_remaining())
        try:
            return await self._handler.run(request, incoming)
        except Error as error:
            await _abort(context, error, self._handler.domain)
            return None


class _Stream(_Served):
    __slots__ = ()
    response_streaming = True

    async def unary_stream(self, request: bytes, context: Any) -> None:
        sent = False

        async def send(reply: bytes) -> None:
            nonlocal sent
            sent = True
            await context.write(reply)

        incoming = Incoming(self._peer, self._metadata, context.time_remaining(), send)
        try:
            await self._handler.run(request, incoming)
        except Error as error:
            if sent and (last := last_word(self._handler, error)):
                await context.write(last)
            await _abort(context, error, self._handler.domain)


def last_word(handler: Handler, error: Error) -> bytes:
    """The last message of a stream that fails midway, where its messages have an `error`; else nothing.

    Over REST there is nothing after the messages that could say so: an end would look like a good one.
    """
    kind: Any = message_class(handler.method.output)
    field = kind.DESCRIPTOR.fields_by_name.get("error")
    if field is None or field.message_type is not status_pb2.Status.DESCRIPTOR:
        return b""
    return bytes(kind(error=errors.to_status(error, handler.domain)).SerializeToString())


async def _abort(context: Any, error: Error, domain: str) -> None:
    status = errors.to_status(error, domain)
    details = ((STATUS_DETAILS, status.SerializeToString()),)
    await context.abort(CODES[status.code], status.message, details)
