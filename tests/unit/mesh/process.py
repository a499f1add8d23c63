"""A whole process for tests of its life: `python -m tests.unit.mesh.process`. It serves users' profiles, slowly."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import structlog
from tulle.event.v1.operations_pb2_grpc import EventsServiceServicer, add_EventsServiceServicer_to_server
from tulle.users.v1 import users_pb2 as pb
from tulle.users.v1.users_pb2_grpc import UsersServiceServicer, add_UsersServiceServicer_to_server

from infra.settings import ServiceSettings
from mesh.app import App
from mesh.server import main
from tests.unit.mesh.echo import Credentials


class Servicer(UsersServiceServicer):
    """Answers after a second."""

    async def GetProfile(self, request: Any, call: Any) -> Any:
        await asyncio.sleep(1)
        return pb.Profile(user_id=request.user_id)


async def failing() -> None:
    """A worker that cannot work."""
    raise ValueError("ada@example.com")


@asynccontextmanager
async def build(settings: ServiceSettings) -> AsyncIterator[App]:
    credentials = Credentials()
    yield App(
        settings.workload,
        (
            (add_UsersServiceServicer_to_server, Servicer()),  # type: ignore[abstract]
            (add_EventsServiceServicer_to_server, EventsServiceServicer()),  # type: ignore[abstract]
        ),
        credentials,
        credentials,
        workers=(failing,),
    )
    structlog.get_logger().info("closed")


if __name__ == "__main__":
    main(build, ServiceSettings)
