"""The events because of which people are told something."""

from __future__ import annotations

from tulle.auth.v1 import events_pb2 as auth

from infra.events.received import Received, Subscriptions
from mesh.model import UserId, new_id
from services.notifications.domain.deliveries import Delivery, Store
from services.notifications.inbox.domain import Inbox


def subscriptions(store: Store, inbox: Inbox) -> Subscriptions:
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
        await inbox.tell(UserId(event.payload.user_id), "welcome")

    return {auth.AccountCreated: account_created, auth.MailRequested: mail_requested}
