"""The users process, top to bottom."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from tulle.event.v1.operations_pb2_grpc import add_EventsServiceServicer_to_server
from tulle.users.v1.users_pb2_grpc import add_UsersServiceServicer_to_server

from infra.events.backlog import Backlogs
from infra.events.bus import open_bus
from infra.events.consumer import Consumer
from infra.events.relay import Relay
from infra.events.servicer import EventsServicer
from infra.housekeeping import Housekeeping
from infra.idempotency import Idempotency
from infra.postgres import open_database
from infra.settings import ServiceSettings
from mesh.app import App
from mesh.auth import Sessions, token_verifier
from mesh.channel import open_channel
from mesh.paging import PageTokens
from mesh.server import main
from services.users.domain import Users
from services.users.events import subscriptions
from services.users.servicer import UsersServicer
from services.users.store import PostgresStore


class Settings(ServiceSettings):
    """What users needs: nothing of its own."""

    workload: str = "users"


@asynccontextmanager
async def build(settings: Settings) -> AsyncIterator[App]:
    """The service, ready to serve and to consume."""
    async with (
        open_database(settings) as database,
        open_bus(settings) as bus,
        open_channel(settings.outbound_socket) as channel,
    ):
        users = Users(PostgresStore(database), now=lambda: datetime.now(UTC))
        backlogs = Backlogs(database, bus, settings.workload)
        servicer = UsersServicer(users, PageTokens(settings.secret("page-key")))
        yield App(
            workload=settings.workload,
            servicers=(
                (add_UsersServiceServicer_to_server, servicer),
                (add_EventsServiceServicer_to_server, EventsServicer(database, backlogs, settings.workload)),
            ),
            tokens=token_verifier(channel, settings),
            sessions=Sessions(channel),
            idempotency=Idempotency(database),
            ready=(database.ready, bus.ready),
            workers=(Relay(database, bus, settings.workload).run,),
            jobs=(
                Consumer(database, bus, settings.workload, subscriptions(users)).run,
                Housekeeping(database).run,
                backlogs.run,
            ),
        )


if __name__ == "__main__":
    main(build, Settings)
