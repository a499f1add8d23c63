"""Two at once in an organisation: whoever loses has changed nothing, and is told why."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any

import pytest
from tulle.auth.v1 import auth_pb2
from tulle.auth.v1 import organisations_pb2 as pb
from tulle.auth.v1.organisations_pb2_grpc import OrganisationsServiceStub
from tulle.policy.v1 import policy_pb2

from infra.postgres import Database
from mesh.model import Caller, OrganisationId, SessionId, User, UserId, new_id
from services.auth import organisations_store
from services.auth.domain.entities import Account, Mail, MailKind, MailRequested
from services.auth.domain.membership import (
    MEMBER,
    OWNER,
    Invitation,
    Membership,
    MembershipChanged,
    OrganisationCreated,
)
from services.auth.organisations_store import PostgresOrganisations
from services.auth.store import PostgresStore
from tests.integration.auth.conftest import Process, Stub
from tests.integration.auth.test_races import account, apart

NOW = datetime.now(UTC)
LATER = NOW + timedelta(days=7)
PASSWORD = "a door of blue glass"
ADA, BOB = "ada@example.com", "bob@example.com"
AT_ONCE = 6


def by(whom: Account) -> Caller:
    return Caller("gateway", User(whom.user_id, whom.organisation_id, SessionId("session_1")))


@pytest.fixture
def store(database: Database) -> PostgresStore:
    return PostgresStore(database)


@pytest.fixture
def organisations(database: Database) -> PostgresOrganisations:
    return PostgresOrganisations(database)


async def founded(organisations: PostgresOrganisations, owner: Account) -> OrganisationId:
    here = OrganisationId(new_id("organisation"))
    made = Membership(organisation_id=here, name="Torres", role=OWNER, personal=False, create_time=NOW)
    assert await organisations.create(made, owner.user_id, 9, OrganisationCreated.of(by(owner), here))
    return here


async def invited(organisations: PostgresOrganisations, here: OrganisationId, email: str) -> Invitation:
    mail = Mail(mail_id=new_id("mail"), kind=MailKind.INVITATION, email=email, create_time=NOW)
    invitation = Invitation(
        invitation_id=new_id("invitation"),
        organisation_id=here,
        mail_id=mail.mail_id,
        email=email,
        role=MEMBER,
        inviter_id=UserId(new_id("user")),
        create_time=NOW,
        expire_time=LATER,
    )
    assert await organisations.invite(invitation, 9, mail, MailRequested.of(Caller("gateway"), mail))
    return invitation


async def accept(organisations: PostgresOrganisations, invitation: Invitation, whom: Account) -> bool:
    roster = await organisations.roster(invitation.organisation_id)
    assert roster is not None
    new = roster.joined(whom.user_id, invitation.role)
    event = MembershipChanged.of(by(whom), new, whom.user_id)
    return await organisations.accept(invitation, new, whom.user_id, 9, NOW, event)


class Person:
    """Somebody with an account, who calls the process."""

    def __init__(self, process: Process, tokens: Any) -> None:
        self.process, self.tokens = process, tokens

    @classmethod
    async def arrive(cls, process: Process, email: str) -> Person:
        await process.stub().SignUp(auth_pb2.SignUpRequest(email=email))
        await process.stub().VerifyEmail(
            auth_pb2.VerifyEmailRequest(token=await process.token(email), password=PASSWORD)
        )
        logged_in = await process.stub().LogIn(auth_pb2.LogInRequest(email=email, password=PASSWORD))
        return cls(process, logged_in.tokens)

    @property
    def organisations(self) -> Stub:
        return OrganisationsServiceStub(self.process._channel(self.tokens.access_token, "gateway"))

    async def switch(self, here: str) -> None:
        switched = await self.organisations.SwitchOrganisation(pb.SwitchOrganisationRequest(organisation_id=here))
        self.tokens.access_token = switched.access_token


async def two_owners(process: Process) -> tuple[Person, Person, str]:
    ada, bob = await Person.arrive(process, ADA), await Person.arrive(process, BOB)
    made = await ada.organisations.CreateOrganisation(pb.CreateOrganisationRequest(name="Torres"))
    here = str(made.organisation_id)
    await ada.switch(here)
    await ada.organisations.InviteMember(pb.InviteMemberRequest(email=BOB, role=policy_pb2.ROLE_OWNER))
    await bob.organisations.AcceptInvitation(pb.AcceptInvitationRequest(token=await process.token(BOB)))
    await bob.switch(here)
    return ada, bob, here


async def at_once(process: Process, here: str, *works: Coroutine[Any, Any, Any]) -> list[str]:
    """What becomes of works of which each has read who is in an organisation before any of them writes."""
    async with process.database.transaction() as connection:
        await organisations_store.sql.lock_organisation(connection, organisation_id=here)
        waiting = [apart(work) for work in works]
        await asyncio.sleep(0.5)
        assert not any(one.done() for one in waiting)
    done = await asyncio.gather(*waiting, return_exceptions=True)
    return sorted(type(one).__name__ for one in done)


async def test_of_two_owners_who_leave_at_once_one_stays(process: Process) -> None:
    """Whoever comes second is the last owner by then."""
    ada, bob, here = await two_owners(process)
    leave = pb.LeaveOrganisationRequest(organisation_id=here)
    left = await at_once(process, here, *(one.organisations.LeaveOrganisation(leave) for one in (ada, bob)))
    assert left == ["LastOwner", "LeaveOrganisationResponse"]


async def test_of_two_owners_who_remove_each_other_one_stays(process: Process) -> None:
    """Whoever comes second is no longer in the organisation."""
    ada, bob, here = await two_owners(process)
    tried = await at_once(
        process,
        here,
        ada.organisations.RemoveMember(pb.RemoveMemberRequest(user_id=bob.tokens.user_id)),
        bob.organisations.RemoveMember(pb.RemoveMemberRequest(user_id=ada.tokens.user_id)),
    )
    assert tried == ["MembershipEnded", "RemoveMemberResponse"]
    roster = await PostgresOrganisations(process.database).roster(OrganisationId(here))
    assert roster is not None and list(roster.roles.values()) == [OWNER]


async def test_many_clicks_join_once(process: Process) -> None:
    """Of the same token many times at once one lets somebody in; the others are told that it is used."""
    ada, bob = await Person.arrive(process, ADA), await Person.arrive(process, BOB)
    here = str(
        (await ada.organisations.CreateOrganisation(pb.CreateOrganisationRequest(name="Torres"))).organisation_id
    )
    await ada.switch(here)
    await ada.organisations.InviteMember(pb.InviteMemberRequest(email=BOB, role=policy_pb2.ROLE_MEMBER))
    request = pb.AcceptInvitationRequest(token=await process.token(BOB))
    tried = await at_once(process, here, *(bob.organisations.AcceptInvitation(request) for _ in range(AT_ONCE)))
    assert tried == ["BadToken"] * (AT_ONCE - 1) + ["Organisation"]


async def test_an_accept_that_waits_for_a_revocation_finds_nothing(
    store: PostgresStore, organisations: PostgresOrganisations
) -> None:
    """An invitation is taken back or accepted, never both."""
    ada, bob = await account(store), await account(store, BOB)
    here = await founded(organisations, ada)
    invitation = await invited(organisations, here, bob.email)
    async with store.database.transaction() as connection:
        await organisations_store.sql.lock_organisation(connection, organisation_id=here)
        waiting = apart(accept(organisations, invitation, bob))
        await asyncio.sleep(0.1)
        assert not waiting.done()
        assert await organisations.revoke(here, invitation.invitation_id, NOW)
    assert await waiting is False
    roster = await organisations.roster(here)
    assert roster is not None and roster.roles == MappingProxyType({ada.user_id: OWNER})


async def test_of_many_invitations_to_an_address_one_is_good(
    store: PostgresStore, organisations: PostgresOrganisations
) -> None:
    """Sent at once, each takes the place of another, and only the mail of the one that stays goes out."""
    here = await founded(organisations, await account(store))
    sent = await asyncio.gather(*(invited(organisations, here, BOB) for _ in range(AT_ONCE)))
    (stays,) = await organisations.invitations(here, NOW)
    mails = {one.mail_id: await store.mail(one.mail_id) for one in sent}
    going = [mail_id for mail_id, mail in mails.items() if mail and mail.kind is MailKind.INVITATION]
    assert going == [stays.mail_id]


async def test_what_has_expired_is_cleaned_away(
    store: PostgresStore, organisations: PostgresOrganisations, database: Database
) -> None:
    """Invitations that nobody accepted go with the next cleaning after their time."""
    here = await founded(organisations, await account(store))
    await invited(organisations, here, BOB)
    async with database.connection() as connection:
        for now, cleaned in ((NOW, 0), (LATER + timedelta(seconds=1), 1), (LATER + timedelta(seconds=1), 0)):
            assert await organisations_store.sql.clean(connection, now=now, batch=9) == cleaned
