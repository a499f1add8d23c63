"""The events because of which people are told something."""

from __future__ import annotations

from datetime import UTC

from tulle.auth.v1 import events_pb2 as auth
from tulle.billing.v1 import events_pb2 as billing

from infra.events.received import Received, Subscriptions
from mesh.model import UserId, new_id
from services.notifications.domain.deliveries import Delivery, Store
from services.notifications.telling import Telling


def subscriptions(store: Store, telling: Telling) -> Subscriptions:
    """Which event is handled how: each leaves a delivery, which the sender takes, or a message in an inbox."""

    async def mail_requested(event: Received) -> None:
        await store.add(
            Delivery(
                delivery_id=new_id("delivery"),
                event_id=event.event_id,
                mail_id=event.payload.mail_id,
                repeatable=True,
                create_time=event.time,
                not_before=event.time,
            )
        )

    async def account_created(event: Received) -> None:
        await telling.tell(event.event_id, UserId(event.payload.user_id), "welcome")

    async def invoice_paid(event: Received) -> None:
        paid = event.payload
        await store.add(mail("invoice_paid", event, number=paid.number, **_amount(event)))
        known = {"number": paid.number, "invoice_id": paid.invoice_id}
        await telling.tell(event.event_id, UserId(paid.user_id), "invoice_paid", known)

    async def payment_failed(event: Received) -> None:
        paid = event.payload
        again = paid.next_attempt_time.ToDatetime(UTC).isoformat() if paid.HasField("next_attempt_time") else ""
        await store.add(mail("payment_failed", event, next_attempt_time=again, **_amount(event)))
        await telling.tell(event.event_id, UserId(paid.user_id), "payment_failed", {"invoice_id": paid.invoice_id})

    return {
        auth.AccountCreated: account_created,
        auth.MailRequested: mail_requested,
        billing.InvoicePaid: invoice_paid,
        billing.PaymentFailed: payment_failed,
    }


def mail(kind: str, event: Received, **variables: str) -> Delivery:
    """A mail to whom the event names, with what its text needs."""
    return Delivery(
        delivery_id=new_id("delivery"),
        event_id=event.event_id,
        kind=kind,
        user_id=UserId(event.payload.user_id),
        variables=variables,
        repeatable=False,
        create_time=event.time,
        not_before=event.time,
    )


def _amount(event: Received) -> dict[str, str]:
    return {"amount_minor": str(event.payload.amount_minor), "currency": event.payload.currency}
