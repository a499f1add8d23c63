"""The billing process, top to bottom."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from tulle.billing.v1.accounting_pb2_grpc import add_AccountingServiceServicer_to_server
from tulle.billing.v1.billing_pb2_grpc import add_BillingServiceServicer_to_server
from tulle.billing.v1.invoices_pb2_grpc import add_InvoicesServiceServicer_to_server
from tulle.event.v1.operations_pb2_grpc import add_EventsServiceServicer_to_server

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
from services.billing.accounting import AccountingServicer
from services.billing.domain.billing import Billing
from services.billing.events import subscriptions
from services.billing.invoices import InvoicesServicer
from services.billing.payments import open_payments
from services.billing.servicer import BillingServicer
from services.billing.store import PostgresStore


class Settings(ServiceSettings):
    """What billing needs besides."""

    workload: str = "billing"
    stripe_url: str = "https://api.stripe.com"
    """Where the payment provider's API is; the local stack has a stand-in for it."""


@asynccontextmanager
async def build(settings: Settings) -> AsyncIterator[App]:
    """The service, ready to serve, to publish and to consume."""
    async with (
        open_database(settings) as database,
        open_bus(settings) as bus,
        open_channel(settings.outbound_socket) as channel,
        open_payments(settings.stripe_url, settings.secret("stripe-key")) as payments,
    ):
        billing = Billing.of(PostgresStore(database), payments, now=lambda: datetime.now(UTC))
        pages = PageTokens(settings.secret("page-key"))
        backlogs = Backlogs(database, bus, settings.workload)
        yield App(
            workload=settings.workload,
            servicers=(
                (add_BillingServiceServicer_to_server, BillingServicer(billing, pages)),
                (add_InvoicesServiceServicer_to_server, InvoicesServicer(billing, pages)),
                (add_AccountingServiceServicer_to_server, AccountingServicer(billing)),
                (add_EventsServiceServicer_to_server, EventsServicer(database, backlogs, settings.workload)),
            ),
            tokens=token_verifier(channel, settings),
            sessions=Sessions(channel),
            idempotency=Idempotency(database),
            ready=(database.ready, bus.ready),
            workers=(
                Relay(database, bus, settings.workload).run,
                Consumer(database, bus, settings.workload, subscriptions(billing)).run,
            ),
            jobs=(
                Housekeeping(database).run,
                backlogs.run,
            ),
        )


if __name__ == "__main__":
    main(build, Settings)
