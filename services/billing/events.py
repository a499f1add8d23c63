"""The events that billing consumes: its own reminders of what is due."""

from __future__ import annotations

from tulle.billing.v1 import events_pb2 as pb

from infra.events.received import Received, Subscriptions
from services.billing.domain.billing import Billing


def subscriptions(billing: Billing) -> Subscriptions:
    """Which event is handled how. Each handler looks at what is due now, so that a reminder too many does nothing."""

    async def subscription_due(event: Received) -> None:
        await billing.renewal.advance(event.caller, event.payload.subscription_id)

    async def invoice_due(event: Received) -> None:
        await billing.dunning.due(event.caller, event.payload.invoice_id)

    return {
        pb.SubscriptionDue: subscription_due,
        pb.InvoiceDue: invoice_due,
    }
