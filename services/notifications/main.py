"""The notifications process, top to bottom."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Annotated, Self

from pydantic import BeforeValidator, model_validator
from pydantic_settings import NoDecode
from tulle.event.v1.operations_pb2_grpc import add_EventsServiceServicer_to_server
from tulle.notifications.v1.inbox_pb2_grpc import add_InboxServiceServicer_to_server
from tulle.notifications.v1.notifications_pb2_grpc import (
    add_DeliveriesServiceServicer_to_server,
    add_NotificationsServiceServicer_to_server,
)
from tulle.notifications.v1.preferences_pb2_grpc import add_PreferencesServiceServicer_to_server
from tulle.notifications.v1.push_pb2_grpc import add_PushServiceServicer_to_server

from infra import limits
from infra.events.backlog import Backlogs
from infra.events.bus import open_bus
from infra.events.consumer import Consumer
from infra.events.servicer import EventsServicer
from infra.housekeeping import Housekeeping
from infra.postgres import Connection, open_database
from infra.settings import ServiceSettings, between_commas
from mesh.app import App
from mesh.auth import Sessions, token_verifier
from mesh.channel import open_channel
from mesh.paging import PageTokens
from mesh.server import main
from services.notifications.directory import MeshDirectory
from services.notifications.domain.judging import Judging
from services.notifications.domain.preferences import Choosing
from services.notifications.domain.pushing import Pushing
from services.notifications.domain.sending import Sending
from services.notifications.domain.unsubscribing import Links
from services.notifications.events import subscriptions
from services.notifications.inbox.cleaning import clean_inboxes
from services.notifications.inbox.domain import Inbox, words
from services.notifications.inbox.limits import WATCH_EVERY
from services.notifications.inbox.servicer import InboxServicer
from services.notifications.inbox.store import PostgresInboxes
from services.notifications.inbox.watching import Watching
from services.notifications.letters import Templates
from services.notifications.limits import DELIVERIES_KEPT
from services.notifications.postman import DOMAIN, SENDER, Identity, Postman, Security
from services.notifications.preferences_servicer import PreferencesServicer
from services.notifications.preferences_store import PostgresPreferences
from services.notifications.push.checking import checked
from services.notifications.push.cleaning import clean_pushes
from services.notifications.push.courier import HttpCourier, PushWorker, open_client
from services.notifications.push.domain import Pushes
from services.notifications.push.encryption import Vapid
from services.notifications.push.servicer import PushServicer
from services.notifications.push.store import PostgresPushes
from services.notifications.sender import Sender
from services.notifications.servicer import DeliveriesServicer, NotificationsServicer
from services.notifications.store import PostgresStore, sql
from services.notifications.telling import Telling


class Settings(ServiceSettings):
    """What notifications needs of its own."""

    workload: str = "notifications"
    smtp_servers: Annotated[tuple[str, ...], NoDecode, BeforeValidator(between_commas)] = ("127.0.0.1:1025",)
    """`host:port` of each mail server, with commas between: the first that takes a mail gets it."""
    smtp_security: Security = "none"
    """`starttls` or `tls` (from the first byte); `none` on this machine alone."""
    smtp_user: str = ""
    """Who logs in there, with the secret `smtp-password`; nobody if empty."""
    mail_sender: str = SENDER
    """From whom mails are."""
    mail_domain: str = DOMAIN
    """What ends the ids of mails, and by what name mail servers are greeted."""
    push_loopback: bool = False
    """Whether pushes may go to this machine, also without TLS: for tests and demonstrations alone."""
    push_contact: str = ""
    """Where operators of push services find ours: `mailto:…` or an https URL; the public URL if empty."""

    @model_validator(mode="after")
    def _no_password_in_the_clear(self) -> Self:
        if self.smtp_user and self.smtp_security == "none":
            raise ValueError("smtp_user: a password is sent through TLS alone; set smtp_security to starttls or tls")
        return self

    def identity(self) -> Identity:
        """As whom mails are sent. Raises: FileNotFoundError naming the password's file."""
        password = self.secret("smtp-password") if self.smtp_user else ""
        return Identity(
            sender=self.mail_sender,
            domain=self.mail_domain,
            security=self.smtp_security,
            user=self.smtp_user,
            password=password,
        )


@asynccontextmanager
async def build(settings: Settings) -> AsyncIterator[App]:
    """The service, ready to serve, to consume and to send."""
    async with (
        open_database(settings) as database,
        open_bus(settings) as bus,
        open_channel(settings.outbound_socket) as channel,
        open_client(loopback=settings.push_loopback) as web,
    ):
        store, preferences = PostgresStore(database), PostgresPreferences(database)
        links = Links(settings.secret("unsubscribe-key").encode(), settings.public_url)
        backlogs = Backlogs(database, bus, settings.workload)
        inboxes = PostgresInboxes(database)
        watching = Watching(inboxes.versions, WATCH_EVERY)
        inbox = Inbox(inboxes, watching.bell, _now)
        vapid = Vapid(settings.secret("push-key"), settings.push_contact or settings.public_url)
        check = checked(loopback=settings.push_loopback)
        pushes = Pushes(PostgresPushes(database), HttpCourier(web, vapid), check, words, _now)
        telling = Telling(store, inbox, preferences, _now)
        judging, directory = Judging(store, preferences, _now), MeshDirectory(channel)
        sending = Sending(
            store,
            judging,
            directory,
            Templates(url=settings.public_url),
            Postman(settings.smtp_servers, settings.identity()),
            links,
            Pushing(judging, directory, pushes),
            settings.secret("address-key").encode(),
            _now,
        )
        sender = Sender(sending)
        database.after_commit(sender.wake)
        choosing = Choosing(preferences, _now)
        yield App(
            workload=settings.workload,
            servicers=(
                (add_NotificationsServiceServicer_to_server, NotificationsServicer(store)),
                (add_DeliveriesServiceServicer_to_server, DeliveriesServicer(store)),
                (add_PreferencesServiceServicer_to_server, PreferencesServicer(choosing, links)),
                (
                    add_InboxServiceServicer_to_server,
                    InboxServicer(inbox, PageTokens(settings.secret("page-key")), directory),
                ),
                (add_PushServiceServicer_to_server, PushServicer(pushes, vapid.public_key)),
                (add_EventsServiceServicer_to_server, EventsServicer(database, backlogs, settings.workload)),
            ),
            tokens=token_verifier(channel, settings),
            sessions=Sessions(channel),
            ready=(database.ready, bus.ready),
            workers=(watching.run,),
            jobs=(
                Consumer(database, bus, settings.workload, subscriptions(store, telling)).run,
                sender.run,
                PushWorker(pushes).run,
                Housekeeping(database, _clean, clean_inboxes, clean_pushes).run,
                backlogs.run,
            ),
        )


def _now() -> datetime:
    return datetime.now(UTC)


async def _clean(connection: Connection, now: datetime) -> int:
    cutoff = now - timedelta(seconds=DELIVERIES_KEPT)
    return int(await sql.clean(connection, cutoff=cutoff, batch=limits.CLEAN_BATCH))


if __name__ == "__main__":
    main(build, Settings)
