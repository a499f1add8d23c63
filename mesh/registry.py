"""Collects the handlers of standard servicers and wraps each in the pipeline."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message

from mesh.app import App
from mesh.contract import Contract, Method
from mesh.pipeline import Pipeline


@dataclass(frozen=True, slots=True)
class Handler:
    """A wrapped handler: `run(request, incoming)` is awaited, or iterated if the method streams."""

    method: Method
    run: Callable[..., Any]
    decode: Callable[[bytes], Message]
    encode: Callable[[Message], bytes]


class _Collector:
    """Stands in for grpc's server in `add_XServicer_to_server`."""

    def __init__(self) -> None:
        self.found: dict[str, Any] = {}

    def add_generic_rpc_handlers(self, handlers: Any) -> None:
        """The same handlers again, in a form for servers without registered methods."""

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Any]) -> None:
        self.found |= {f"/{service}/{name}": handler for name, handler in handlers.items()}


def collect(app: App, pipeline: Pipeline, contract: Contract) -> dict[str, Handler]:
    """The app's handlers by their paths."""
    collector = _Collector()
    for add, servicer in app.servicers:
        add(servicer, collector)
    return {path: _wrapped(contract.method(path), raw, pipeline) for path, raw in collector.found.items()}


def _wrapped(method: Method, raw: Any, pipeline: Pipeline) -> Handler:
    run = (
        pipeline.stream(method, raw.unary_stream)
        if method.server_streaming
        else pipeline.unary(method, raw.unary_unary)
    )
    return Handler(method, run, raw.request_deserializer, raw.response_serializer)
