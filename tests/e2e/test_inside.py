"""What is inside the mesh stays inside."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.e2e.doors import Edge, Sidecar

INNER = (
    "/grpc.health.v1.Health/Check",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
    "/tulle.users.v1.UsersService/Nothing",
    "/nobody.Knows/This",
)


@pytest.mark.parametrize("path", INNER)
async def test_the_edge_offers_only_the_contract(edge: Edge, path: str) -> None:
    """Health, reflection and what nobody knows are refused at the edge."""
    async with edge.grpc() as channel:
        call: Any = channel.unary_unary(path)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(b"", timeout=5)
    assert caught.value.code() in (grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNIMPLEMENTED)


@pytest.mark.parametrize("service", ["auth", "users"])
async def test_the_operator_may_look_around(sidecars: dict[str, Sidecar], certificates: Path, service: str) -> None:
    """Inside, the operator asks each service for its health."""
    async with sidecars[service].channel(certificates / "operator") as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=5)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING
