"""Who people are and how they are reached: asked of auth and users at each attempt, kept nowhere."""

from __future__ import annotations

from datetime import UTC
from typing import Any

from tulle.auth.v1 import contacts_pb2
from tulle.auth.v1.contacts_pb2_grpc import ContactsServiceStub
from tulle.users.v1 import users_pb2
from tulle.users.v1.users_pb2_grpc import UsersServiceStub

from mesh.channel import Channel
from mesh.model import DeadlineExceeded, Unavailable, UserId
from services.notifications.domain.deliveries import Addressee, Delivery
from services.notifications.domain.pushing import Reader
from services.notifications.inbox.limits import LOCALE_WITHIN


class MeshDirectory:
    """A `services.notifications.domain.deliveries.Directory`."""

    def __init__(self, channel: Channel) -> None:
        # Stubs of a channel are awaited; the generated types do not say so.
        self._contacts: Any = channel.stub(ContactsServiceStub)
        self._users: Any = channel.stub(UsersServiceStub)

    async def addressee(self, delivery: Delivery) -> Addressee | None:
        """Raises: NotFound if there is nobody (any more); Unavailable."""
        if delivery.mail_id:
            return await self._of_mail(delivery.mail_id)
        return await self._of_account(delivery)

    async def reader(self, user_id: UserId) -> Reader:
        """Raises: Unavailable."""
        profile = await self._profile(user_id)
        return Reader(profile.time_zone, profile.locale)

    async def locale(self, user_id: UserId) -> str:
        """The language that a person chose, if users says it within LOCALE_WITHIN."""
        return (await self._profile_if_known(user_id, LOCALE_WITHIN)).locale

    async def _of_mail(self, mail_id: str) -> Addressee:
        mail: contacts_pb2.Mail = await self._contacts.GetMail(contacts_pb2.GetMailRequest(mail_id=mail_id))
        profile = await self._profile_if_known(mail.user_id)
        return Addressee(
            email=mail.email,
            kind=mail.kind,
            user_id=UserId(mail.user_id),
            locale=profile.locale,
            zone=profile.time_zone,
            create_time=mail.create_time.ToDatetime(UTC),
            variables={**mail.details, "token": mail.token},
        )

    async def _of_account(self, delivery: Delivery) -> Addressee:
        request = contacts_pb2.GetContactRequest(user_id=delivery.user_id)
        contact: contacts_pb2.Contact = await self._contacts.GetContact(request)
        profile = await self._profile(delivery.user_id)
        return Addressee(
            email=contact.email,
            kind=delivery.kind,
            user_id=delivery.user_id,
            locale=profile.locale,
            zone=profile.time_zone,
            create_time=delivery.held_until or delivery.create_time,
            variables=delivery.variables,
        )

    async def _profile_if_known(self, user_id: str, within: float | None = None) -> users_pb2.Profile:
        """Language and clock of a person; none is known of strangers, nor while users is away: it is urgent."""
        if not user_id:
            return users_pb2.Profile()
        try:
            return await self._profile(user_id, within)
        except (Unavailable, DeadlineExceeded):
            return users_pb2.Profile()

    async def _profile(self, user_id: str, within: float | None = None) -> users_pb2.Profile:
        """Empty if they have none yet. Raises: Unavailable; DeadlineExceeded."""
        request = users_pb2.BatchGetProfilesRequest(user_ids=[user_id])
        found = await self._users.BatchGetProfiles(request, timeout=within)
        return found.profiles[0] if found.profiles else users_pb2.Profile()
