"""gRPC reflection, inside the mesh only: for the operator, through the sidecar."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from typing import Any

import grpc
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection, reflection_pb2
from grpc_reflection.v1alpha.reflection_pb2_grpc import add_ServerReflectionServicer_to_server

from mesh.call import STRANGER
from mesh.identity import SidecarIdentity
from mesh.transports.grpcaio import once

ITSELF = reflection_pb2.DESCRIPTOR.services_by_name["ServerReflection"].full_name
HEALTH = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name


class ReflectionServicer(reflection.aio.ReflectionServicer):  # type: ignore[misc]
    """Answers whom our sidecar let through, and no one else on the socket."""

    def __init__(self, services: Iterable[str], identity: SidecarIdentity) -> None:
        super().__init__([*services, HEALTH, ITSELF])
        self._identity = identity

    def add_to(self, server: grpc.aio.Server) -> None:
        """Serve reflection on `server`."""
        add_ServerReflectionServicer_to_server(self, server)

    async def ServerReflectionInfo(self, request_iterator: Any, context: Any) -> AsyncIterator[Any]:
        if self._identity.peer(once(context.invocation_metadata())) == STRANGER:
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "Come through the sidecar.")
        async for answer in super().ServerReflectionInfo(request_iterator, context):
            yield answer
