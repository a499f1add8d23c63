"""grpc.testing.TestService in our own pipeline: what gRPC's interop cases call."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc

from mesh import errors
from mesh.call import Call
from mesh.messages import message_class
from mesh.model import Error

TESTING = "grpc.testing.TestService"


def message(name: str, **fields: Any) -> Any:
    """A message of the package grpc.testing."""
    return message_class(f"grpc.testing.{name}")(**fields)


class Testing:
    """The methods of the cases but for those whose clients stream, and UnimplementedCall."""

    def __init__(self) -> None:
        self.cancelled = 0
        """How many streams were left by their clients."""

    async def EmptyCall(self, request: Any, call: Call) -> Any:
        return message("Empty")

    async def UnaryCall(self, request: Any, call: Call) -> Any:
        if request.response_status.code:
            raise asked_for(request.response_status.code, request.response_status.message)
        return message("SimpleResponse", payload=payload(request.response_size))

    async def StreamingOutputCall(self, request: Any, call: Call) -> AsyncIterator[Any]:
        try:
            for wanted in request.response_parameters:
                await asyncio.sleep(wanted.interval_us / 1e6)
                yield message("StreamingOutputCallResponse", payload=payload(wanted.size))
        except (asyncio.CancelledError, GeneratorExit):
            self.cancelled += 1
            raise

    @staticmethod
    def add(servicer: Any, server: Any) -> None:
        """What grpc would generate; UnimplementedCall has no handler."""
        unary, stream = grpc.unary_unary_rpc_method_handler, grpc.unary_stream_rpc_method_handler
        handlers: dict[str, Any] = {
            "EmptyCall": unary(servicer.EmptyCall),
            "UnaryCall": unary(servicer.UnaryCall),
            "StreamingOutputCall": stream(servicer.StreamingOutputCall),
        }
        server.add_registered_method_handlers(TESTING, handlers)


def payload(size: int) -> Any:
    """So many zero bytes."""
    return message("Payload", body=bytes(size))


def asked_for(code: int, text: str) -> Exception:
    """The error with this code; a service of ours has no error for UNKNOWN and its like, only exceptions."""
    base = errors.CLASSES.get(code)
    if base is None:
        return RuntimeError(text)
    error: type[Error] = type("AskedFor", (base,), {})
    return error(text)
