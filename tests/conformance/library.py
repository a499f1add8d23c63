"""tulle.library.v1.LibraryService: tells what it heard, for the cases of google.api.http."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from google.protobuf import json_format

from mesh.call import Call
from mesh.messages import message_class

LIBRARY = "tulle.library.v1.LibraryService"
ECHOING = ("GetShelf", "GetBook", "GetFile", "ReadBook", "FindBooks", "MoveBook", "PutBook", "AnyShelf")


class Library:
    """Every method answers with its own name and its request as JSON."""

    @staticmethod
    def add(servicer: Library, server: Any) -> None:
        """What grpc would generate."""
        handlers: dict[str, Any] = {name: grpc.unary_unary_rpc_method_handler(telling(name)) for name in ECHOING}
        server.add_registered_method_handlers(LIBRARY, handlers)


def telling(name: str) -> Callable[[Any, Call], Awaitable[Any]]:
    """A handler that tells what it heard."""

    async def tell(request: Any, call: Call) -> Any:
        heard = json_format.MessageToJson(request, preserving_proto_field_name=True, indent=None)
        return message_class("tulle.library.v1.Heard")(method=name, request=heard)

    return tell
