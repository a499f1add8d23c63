"""The events that auth consumes: its own wish to send a mail, so that no crash loses one."""

from __future__ import annotations

import structlog
from tulle.auth.v1 import events_pb2 as auth

from infra.events.received import Received, Subscriptions
from services.auth.domain.entities import MailKind
from services.auth.domain.ports import Store
from services.auth.mail import Postman
from services.auth.throttle import Throttle

log = structlog.get_logger(__name__)


def subscriptions(store: Store, postman: Postman, throttle: Throttle) -> Subscriptions:
    """Which event is handled how."""

    async def mail_requested(event: Received) -> None:
        mail = await store.mail(event.payload.mail_id)
        if mail is None or mail.kind is MailKind.NOBODY:
            return
        if not await throttle.may_mail(mail):
            log.warning("mail_withheld", mail_id=mail.mail_id, kind=mail.kind)
            return
        await postman.send(mail)
        await throttle.mailed(mail)

    return {auth.MailRequested: mail_requested}
