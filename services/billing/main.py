"""The billing process, top to bottom."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from tulle.billing.v1.accounting_pb2_grpc import add_AccountingServiceServicer_to_server
from tulle.billing.v1.billing_pb2_grpc import add_BillingServiceServicer_to_server
from tulle.billing.v1.invoices_pb2_grpc import add_InvoicesServiceServicer_to_server
from tulle.billing.v1.webhooks_pb2_grpc import add_WebhooksServiceServicer_to_server
from tulle.event.v1.operations_pb2_grpc import add_EventsServiceServicer_to_server

from infra import limits
from infra.events.backlog import Backlogs
from infra.events.bus import open_bus
from infra.events.consumer import Consumer
from infra.events.relay import Relay
from infra.events.servicer import EventsServicer
from infra.housekeeping import Housekeeping
from infra.idempotency import Idempotency
from infra.lanes import Lanes
from infra.postgres import Connection, open_database
from infra.settings import ServiceSettings
from mesh.app import App
from mesh.auth import Sessions, token_verifier
from mesh.channel import open_channel
from mesh.paging import PageTokens
from mesh.server import main
from services.billing.accounting_servicer import AccountingServicer
from services.billing.domain.billing import Billing
from services.billing.domain.reconciliation import Reconciliation
from services.billing.domain.webhooks import NOTICE_KEPT, Webhooks
from services.billing.events import subscriptions
from services.billing.invoices_servicer import InvoicesServicer
from services.billing.limits import ASK_POLL, ASKERS
from services.billing.payments import open_payments
from services.billing.reconciliation import Reconciler
from services.billing.servicer import BillingServicer
from services.billing.store import PostgresStore, sql
from services.billing.webhooks_servicer import WebhooksServicer


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
        store = PostgresStore(database)
        billing = Billing.of(store, payments, _now)
        webhooks = Webhooks(store, lambda: settings.secret("stripe-webhook").split(), _now)
        pages = PageTokens(settings.secret("page-key"))
        backlogs = Backlogs(database, bus, settings.workload)
        asking = Lanes("asking", billing.asking.ask_next, ASKERS, ASK_POLL)
        database.after_commit(asking.wake)
        yield App(
            workload=settings.workload,
            servicers=(
                (add_BillingServiceServicer_to_server, BillingServicer(billing, pages)),
                (add_InvoicesServiceServicer_to_server, InvoicesServicer(billing, pages)),
                (add_AccountingServiceServicer_to_server, AccountingServicer(billing)),
                (add_WebhooksServiceServicer_to_server, WebhooksServicer(webhooks)),
                (add_EventsServiceServicer_to_server, EventsServicer(database, backlogs, settings.workload)),
            ),
            tokens=token_verifier(channel, settings),
            sessions=Sessions(channel),
            idempotency=Idempotency(database),
            ready=(database.ready, bus.ready),
            workers=(Relay(database, bus, settings.workload).run,),
            jobs=(
                Consumer(database, bus, settings.workload, subscriptions(billing)).run,
                asking.run,
                Housekeeping(database, _clean).run,
                Reconciler(Reconciliation(store, payments, _now)).run,
                backlogs.run,
            ),
        )


def _now() -> datetime:
    return datetime.now(UTC)


async def _clean(connection: Connection, now: datetime) -> int:
    return int(await sql.clean_notices(connection, cutoff=now - NOTICE_KEPT, batch=limits.CLEAN_BATCH))


if __name__ == "__main__":
    main(build, Settings)
