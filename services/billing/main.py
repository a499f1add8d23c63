"""The billing process, top to bottom."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tulle.billing.v1.accounting_pb2_grpc import add_AccountingServiceServicer_to_server
from tulle.billing.v1.billing_pb2_grpc import add_BillingServiceServicer_to_server
from tulle.event.v1.operations_pb2_grpc import add_EventsServiceServicer_to_server

from infra.events.backlog import Backlogs
from infra.events.bus import open_bus
from infra.events.relay import Relay
from infra.events.servicer import EventsServicer
from infra.housekeeping import Housekeeping
from infra.idempotency import Idempotency
from infra.postgres import open_database
from infra.settings import ServiceSettings
from mesh.app import App
from mesh.auth import Sessions, token_verifier
from mesh.channel import open_channel
from mesh.server import main
from services.billing.accounting import AccountingServicer
from services.billing.servicer import BillingServicer
from services.billing.store import PostgresStore


class Settings(ServiceSettings):
    """What billing needs besides."""

    workload: str = "billing"
    stripe_url: str = "https://api.stripe.com"
    """Where the payment provider's API is; the local stack has a stand-in for it."""


@asynccontextmanager
async def build(settings: Settings) -> AsyncIterator[App]:
    """The service, ready to serve and to publish."""
    async with (
        open_database(settings) as database,
        open_bus(settings) as bus,
        open_channel(settings.outbound_socket) as channel,
    ):
        store = PostgresStore(database)
        backlogs = Backlogs(database, bus, settings.workload)
        yield App(
            workload=settings.workload,
            servicers=(
                (add_BillingServiceServicer_to_server, BillingServicer(store)),
                (add_AccountingServiceServicer_to_server, AccountingServicer(store)),
                (add_EventsServiceServicer_to_server, EventsServicer(database, backlogs, settings.workload)),
            ),
            tokens=token_verifier(channel, settings),
            sessions=Sessions(channel),
            idempotency=Idempotency(database),
            ready=(database.ready, bus.ready),
            workers=(Relay(database, bus, settings.workload).run,),
            jobs=(
                Housekeeping(database).run,
                backlogs.run,
            ),
        )


if __name__ == "__main__":
    main(build, Settings)
