"""From bytes to messages and back: nothing is parsed before its caller is allowed to say it."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

from google.protobuf import descriptor_pool, message_factory
from google.protobuf.message import DecodeError, Message

from mesh.call import Call, Proceed
from mesh.contract import Method
from mesh.model import Invalid

Unary = Callable[[Any, Call], Awaitable[Message]]
Stream = Callable[[Any, Call], AsyncIterator[Message]]


@functools.cache
def message_class(name: str) -> type[Message]:
    """The generated class of a message, by its full name. Its module must have been imported."""
    return message_factory.GetMessageClass(descriptor_pool.Default().FindMessageTypeByName(name))


def decoded(method: Method, proceed: Proceed) -> Proceed:
    """The request is a message of its type. Raises: Invalid."""
    decode = message_class(method.input).FromString

    def step(request: bytes, call: Call) -> Awaitable[bytes]:
        try:
            message = decode(request)
        except DecodeError:
            raise Invalid("The request is not a message of the type that this method takes.") from None
        return proceed(message, call)

    return step


def answered(handler: Unary) -> Proceed:
    """The end of a unary method's pipeline: its handler."""

    async def serve(request: Message, call: Call) -> bytes:
        return (await handler(request, call)).SerializeToString()

    return serve


def streamed(handler: Stream) -> Proceed:
    """The end of a stream's pipeline: what its handler yields is sent as fast as the other end reads."""

    async def serve(request: Message, call: Call) -> bytes:
        assert call.send is not None
        async with aclosing(handler(request, call)) as replies:  # type: ignore[type-var]
            async for reply in replies:
                await call.send(reply.SerializeToString())
        return b""

    return serve
