"""The events that auth consumes: its own wish to send a mail, so that no crash loses one."""

from __future__ import annotations

from tulle.auth.v1 import events_pb2 as auth

from infra.events.received import Received, Subscriptions
from services.auth.domain.entities import MailKind
from services.auth.domain.ports import Store
from services.auth.mail import Postman


def subscriptions(store: Store, postman: Postman) -> Subscriptions:
    """Which event is handled how."""

    async def mail_requested(event: Received) -> None:
        mail = await store.mail(event.payload.mail_id)
        if mail is not None and mail.kind is not MailKind.NOBODY:
            await postman.send(mail)

    return {auth.MailRequested: mail_requested}
