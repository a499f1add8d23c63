"""Who a mail of auth goes to, and what its text gets, as auth and users say it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from tulle.auth.v1 import contacts_pb2
from tulle.users.v1 import users_pb2

from mesh.model import UserId
from services.notifications.directory import MeshDirectory
from services.notifications.domain.deliveries import Addressee, Delivery

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
MAIL = Delivery(
    delivery_id="delivery_1", event_id="event_1", mail_id="mail_1", repeatable=True, create_time=NOON, not_before=NOON
)


class Others:
    """A channel behind which auth has one mail and users one profile."""

    def __init__(self, mail: contacts_pb2.Mail, profile: users_pb2.Profile) -> None:
        self._mail, self._profile = mail, profile

    def stub(self, kind: type) -> Others:
        return self

    async def GetMail(self, request: contacts_pb2.GetMailRequest) -> contacts_pb2.Mail:
        assert request.mail_id == self._mail.mail_id
        return self._mail

    async def GetContact(self, request: contacts_pb2.GetContactRequest) -> contacts_pb2.Contact:
        assert request.user_id == self._profile.user_id
        return contacts_pb2.Contact(email="ada@example.com")

    async def BatchGetProfiles(
        self, request: users_pb2.BatchGetProfilesRequest, **_: object
    ) -> users_pb2.BatchGetProfilesResponse:
        assert list(request.user_ids) == [self._profile.user_id]
        return users_pb2.BatchGetProfilesResponse(profiles=[self._profile])


async def addressee(delivery: Delivery = MAIL, **mail: Any) -> Addressee:
    profile = users_pb2.Profile(user_id="user_1", locale="pt-BR", time_zone="America/Sao_Paulo")
    others: Any = Others(contacts_pb2.Mail(mail_id="mail_1", user_id="user_1", **mail), profile)
    found = await MeshDirectory(others).addressee(delivery)
    assert found is not None
    return found


async def test_a_text_gets_the_details_of_its_mail() -> None:
    """What auth says besides goes into the text; a detail never passes for the token."""
    found = await addressee(kind="reset", token="real", details={"device": "phone", "token": "other"})
    assert found.variables == {"device": "phone", "token": "real"}
    assert (found.kind, found.locale, found.zone) == ("reset", "pt-BR", "America/Sao_Paulo")


async def test_what_waited_for_its_hour_is_of_that_hour() -> None:
    """A digest of yesterday's things is a mail of this morning: one that is a day old is taken for junk."""
    digest = replace(MAIL, mail_id="", user_id=UserId("user_1"), repeatable=False)
    assert (await addressee(digest)).create_time == NOON
    morning = NOON + timedelta(hours=20)
    assert (await addressee(replace(digest, held_until=morning))).create_time == morning
