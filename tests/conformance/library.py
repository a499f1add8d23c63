"""tulle.library.v1.LibraryService: tells what it heard, for the cases of google.api.http."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
from google.protobuf import json_format

from mesh.call import Call
from mesh.messages import message_class
from mesh.model import NotFound

LIBRARY = "tulle.library.v1.LibraryService"
ECHOING = ("GetShelf", "GetBook", "GetFile", "ReadBook", "FindBooks", "MoveBook", "PutBook", "AnyShelf")


class Library:
    """Every method answers with its own name and its request as JSON."""

    def __init__(self) -> None:
        self.sent = self.open = 0
        """Messages that streams have sent, and streams that are there."""

    @staticmethod
    def add(servicer: Library, server: Any) -> None:
        """What grpc would generate."""
        handlers: dict[str, Any] = {name: grpc.unary_unary_rpc_method_handler(telling(name)) for name in ECHOING}
        handlers["Watch"] = grpc.unary_stream_rpc_method_handler(servicer.watch)
        handlers["Count"] = grpc.unary_unary_rpc_method_handler(count)
        server.add_registered_method_handlers(LIBRARY, handlers)

    async def watch(self, request: Any, call: Call) -> AsyncIterator[Any]:
        """Some messages, and then the end that was asked for."""
        self.open += 1
        try:
            for number in range(1, request.messages + 1):
                yield message_class("tulle.library.v1.Watched")(number=number, padding="x" * request.size)
                self.sent += 1
            await _end(request.then)
        finally:
            self.open -= 1


def telling(name: str) -> Callable[[Any, Call], Awaitable[Any]]:
    """A handler that tells what it heard."""

    async def tell(request: Any, call: Call) -> Any:
        heard = json_format.MessageToJson(request, preserving_proto_field_name=True, indent=None)
        return message_class("tulle.library.v1.Heard")(method=name, request=heard)

    return tell


class BookLost(NotFound):
    """The book was there and is gone."""


async def _end(then: str) -> None:
    if then == "late":
        await asyncio.sleep(30)
    elif then:
        raise BookLost if then == "lost" else RuntimeError("broken on purpose")


async def count(request: Any, call: Call) -> Any:
    """The same numbers."""
    return request
