"""The events because of which people are told something."""

from __future__ import annotations

from tulle.auth.v1 import events_pb2 as auth

from infra.events.received import Received, Subscriptions
from mesh.model import new_id
from services.notifications.domain.deliveries import Delivery, Store


def subscriptions(store: Store) -> Subscriptions:
    """Which event is handled how: each leaves a delivery, which the sender takes from there."""

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

    return {auth.MailRequested: mail_requested}
