"""Collects the handlers of standard servicers and wraps each in the pipeline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mesh.app import App
from mesh.contract import Contract, Method
from mesh.pipeline import Pipeline, Run


@dataclass(frozen=True, slots=True)
class Handler:
    """A method with everything around it. A stream's replies go to `Incoming.send`."""

    method: Method
    run: Run

    @property
    def domain(self) -> str:
        """Who speaks in the errors of this method."""
        return f"{self.method.service.split('.')[1]}.tulle"


class _Collector:
    """Stands in for grpc's server in `add_XServicer_to_server`."""

    def __init__(self) -> None:
        self.found: dict[str, Any] = {}

    def add_generic_rpc_handlers(self, handlers: Any) -> None:
        """The same handlers again, in a form for servers without registered methods."""

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Any]) -> None:
        self.found |= {f"/{service}/{name}": handler for name, handler in handlers.items()}


def collect(app: App, pipeline: Pipeline, contract: Contract) -> dict[str, Handler]:
    """The app's handlers by their paths. Raises: KeyError for a method without a contract."""
    collector = _Collector()
    for add, servicer in app.servicers:
        add(servicer, collector)
    return {path: _wrapped(contract.method(path), raw, pipeline) for path, raw in collector.found.items()}


def _wrapped(method: Method, raw: Any, pipeline: Pipeline) -> Handler:
    if method.server_streaming:
        return Handler(method, pipeline.stream(method, raw.unary_stream))
    return Handler(method, pipeline.unary(method, raw.unary_unary))
