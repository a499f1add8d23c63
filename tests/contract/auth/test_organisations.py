"""What every store of organisations promises; run against PostgreSQL and against the fake."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType

from mesh.model import Caller, OrganisationId, User, UserId, new_id
from services.auth.domain.entities import Account, Mail, MailKind, MailRequested
from services.auth.domain.membership import (
    MANAGER,
    MEMBER,
    OWNER,
    Invitation,
    Membership,
    MembershipChanged,
    OrganisationCreated,
    Roster,
)
from tests.contract.auth.stores import Kept
from tests.contract.auth.test_store import ADA, ADMINISTRATORS, IDLE, LATER, NOON, log_in, mail, opened, set_roles

BOB, EVE = "bob@example.com", "eve@example.com"


def by(account: Account) -> Caller:
    session_id = new_id("session")
    return Caller("gateway", User(account.user_id, account.organisation_id, session_id))  # type: ignore[arg-type]


async def made(kept: Kept, owner: Account, most: int = 9, name: str = "Torres") -> Membership | None:
    organisation_id = OrganisationId(new_id("organisation"))
    one = Membership(organisation_id=organisation_id, name=name, role=OWNER, personal=False, create_time=NOON)
    event = OrganisationCreated.of(by(owner), organisation_id)
    return one if await kept.organisations.create(one, owner.user_id, most, event) else None


async def founded(kept: Kept, owner: Account) -> OrganisationId:
    one = await made(kept, owner)
    assert one is not None
    return one.organisation_id


async def roster(kept: Kept, organisation_id: OrganisationId) -> Roster:
    found = await kept.organisations.roster(organisation_id)
    assert found is not None
    return found


async def change(kept: Kept, new: Roster, whose: Account, now: datetime = NOON) -> bool:
    event = MembershipChanged.of(by(whose), new, whose.user_id)
    return await kept.organisations.change(new, whose.user_id, now, event)


async def join(kept: Kept, organisation_id: OrganisationId, whom: Account, role: str = MEMBER) -> None:
    assert await change(kept, (await roster(kept, organisation_id)).joined(whom.user_id, role), whom)


def invitation(
    organisation_id: OrganisationId, email: str = BOB, role: str = MEMBER, expires: datetime = LATER
) -> tuple[Invitation, Mail]:
    letter = replace(mail(MailKind.INVITATION, email), details={"organisation": "Torres", "role": role})
    one = Invitation(
        invitation_id=new_id("invitation"),
        organisation_id=organisation_id,
        mail_id=letter.mail_id,
        email=email,
        role=role,
        inviter_id=UserId(new_id("user")),
        create_time=NOON,
        expire_time=expires,
    )
    return one, letter


async def invite(kept: Kept, one: Invitation, letter: Mail, most: int = 9) -> bool:
    return await kept.organisations.invite(one, most, letter, MailRequested.of(Caller("gateway"), letter))


async def accept(kept: Kept, one: Invitation, new: Roster, whom: Account, most: int = 9, now: datetime = NOON) -> bool:
    event = MembershipChanged.of(by(whom), new, whom.user_id)
    return await kept.organisations.accept(one, new, whom.user_id, most, now, event)


async def test_an_organisation_has_its_owner_from_the_first(kept: Kept) -> None:
    """A new organisation is announced, its maker is in it, and their personal one comes first in their list."""
    ada = await opened(kept)
    one = await made(kept, ada)
    assert one is not None
    personal, listed = await kept.organisations.memberships(ada.user_id)
    assert (personal.organisation_id, personal.name, personal.role, personal.personal) == (
        ada.organisation_id,
        "",
        OWNER,
        True,
    )
    assert listed == one
    found = await roster(kept, one.organisation_id)
    assert found == Roster(one.organisation_id, MappingProxyType({ada.user_id: OWNER}), "Torres", 1)
    assert (OrganisationCreated.type, "organisation", one.organisation_id, 1) in await kept.announced()


async def test_a_person_is_in_so_many_organisations(kept: Kept) -> None:
    """Of more organisations at once than somebody may be in, only so many are made."""
    ada = await opened(kept)
    tried = await asyncio.gather(*(made(kept, ada, most=2) for _ in range(5)))
    assert len([one for one in tried if one]) == 2
    assert len(await kept.organisations.memberships(ada.user_id)) == 3


async def test_a_personal_organisation_is_kept_nowhere(kept: Kept) -> None:
    """It has no roster, and one member: whose it is."""
    ada = await opened(kept)
    assert await kept.organisations.roster(ada.organisation_id) is None
    (only,) = await kept.organisations.members(ada.organisation_id, "", 9)
    assert (only.user_id, only.role, only.email) == (ada.user_id, OWNER, ada.email)
    assert await kept.organisations.member(ada.organisation_id, ada.user_id) == only


async def test_a_name_changes_and_the_version_does_not(kept: Kept) -> None:
    """Whoever changes a membership is not overtaken by a new name."""
    ada = await opened(kept)
    organisation_id = await founded(kept, ada)
    before = await roster(kept, organisation_id)
    await kept.organisations.rename(organisation_id, "Torres & Co")
    assert await roster(kept, organisation_id) == replace(before, name="Torres & Co")
    assert (await kept.organisations.memberships(ada.user_id))[1].name == "Torres & Co"


async def test_a_roster_changes_by_version(kept: Kept) -> None:
    """A membership begins, changes and ends, each announced at its place; what an old version says is refused."""
    ada, bob = await opened(kept), await opened(kept, BOB)
    organisation_id = await founded(kept, ada)
    first = await roster(kept, organisation_id)
    assert await change(kept, first.joined(bob.user_id, MEMBER), bob)
    assert not await change(kept, first.joined(bob.user_id, OWNER), bob)
    second = await roster(kept, organisation_id)
    assert (second.version, dict(second.roles)) == (2, {ada.user_id: OWNER, bob.user_id: MEMBER})
    assert await change(kept, second.changed(bob.user_id, MANAGER), bob, LATER)
    assert not await change(kept, second.without(bob.user_id), bob)
    manager = await kept.organisations.member(organisation_id, bob.user_id)
    assert manager is not None and (manager.role, manager.join_time) == (MANAGER, NOON)
    assert await change(kept, (await roster(kept, organisation_id)).without(bob.user_id), bob)
    assert await kept.organisations.member(organisation_id, bob.user_id) is None
    announced = [one for one in await kept.announced() if one[0] == MembershipChanged.type]
    assert sorted(seq for *_, seq in announced) == [2, 3, 4]


async def test_members_are_read_in_pages(kept: Kept) -> None:
    """By id, after the last one of the page before, with the address of each."""
    ada, bob, eve = await opened(kept), await opened(kept, BOB), await opened(kept, EVE)
    organisation_id = await founded(kept, ada)
    await join(kept, organisation_id, bob)
    await join(kept, organisation_id, eve)
    people = sorted((one.user_id, one.email) for one in (ada, bob, eve))
    first = await kept.organisations.members(organisation_id, "", 2)
    rest = await kept.organisations.members(organisation_id, first[1].user_id, 2)
    assert [(one.user_id, one.email) for one in (*first, *rest)] == people


async def test_a_session_goes_on_where_it_was_switched_to(kept: Kept) -> None:
    """Refresh and its repetition go on in the organisation, with the role held now beside the platform's roles."""
    ada = await opened(kept)
    session, organisation_id = await log_in(kept, ada), await founded(kept, ada)
    assert await set_roles(kept, ada, ADMINISTRATORS)
    switched = await kept.store.switch(session.session_id, ada.user_id, organisation_id)
    rotated = await kept.store.rotate(session.session_id, b"t0", b"t1", NOON, IDLE)
    repeated = await kept.store.repeat(session.session_id, b"t0", NOON, NOON)
    living = await kept.store.living(session.session_id, NOON, IDLE)
    for one in (switched, rotated, repeated, living):
        assert one is not None
        assert (one.organisation_id, one.roles) == (organisation_id, ADMINISTRATORS | {OWNER})
    back = await kept.store.switch(session.session_id, ada.user_id, ada.organisation_id)
    assert back is not None and back.organisation_id == ada.organisation_id
    rotated = await kept.store.rotate(session.session_id, b"t1", b"t2", NOON, IDLE)
    assert rotated is not None and rotated.organisation_id == ada.organisation_id


async def test_nobody_switches_to_another_s_organisation(kept: Kept) -> None:
    """Nor to one that is not there, nor with another's session, nor to somebody's personal one."""
    ada, bob = await opened(kept), await opened(kept, BOB)
    session, organisation_id = await log_in(kept, bob), await founded(kept, ada)
    for there in (organisation_id, ada.organisation_id, OrganisationId(new_id("organisation"))):
        assert await kept.store.switch(session.session_id, bob.user_id, there) is None
    assert await kept.store.switch(session.session_id, ada.user_id, organisation_id) is None


async def test_roles_are_those_in_the_organisation_that_is_asked_about(kept: Kept) -> None:
    """Whatever the session was switched to; who is not in that one is said to be in their own."""
    ada, bob = await opened(kept), await opened(kept, BOB)
    organisation_id, session = await founded(kept, ada), await log_in(kept, bob)
    await join(kept, organisation_id, bob, MANAGER)
    for asked, role in ((organisation_id, MANAGER), (bob.organisation_id, OWNER)):
        found = await kept.store.living(session.session_id, NOON, IDLE, asked)
        assert found is not None and (found.organisation_id, found.roles) == (asked, frozenset({role}))
    elsewhere = await kept.store.living(session.session_id, NOON, IDLE, ada.organisation_id)
    assert elsewhere is not None and elsewhere.organisation_id == bob.organisation_id


async def test_a_session_falls_back_for_good(kept: Kept) -> None:
    """A session in an organisation that its user has left goes on in the personal one, also if they come back."""
    ada, bob = await opened(kept), await opened(kept, BOB)
    organisation_id, session = await founded(kept, ada), await log_in(kept, bob)
    await join(kept, organisation_id, bob)
    assert await kept.store.switch(session.session_id, bob.user_id, organisation_id)
    assert await change(kept, (await roster(kept, organisation_id)).without(bob.user_id), bob)
    living = await kept.store.living(session.session_id, NOON, IDLE)
    rotated = await kept.store.rotate(session.session_id, b"t0", b"t1", NOON, IDLE)
    for one in (living, rotated):
        assert one is not None and (one.organisation_id, one.roles) == (bob.organisation_id, frozenset({OWNER}))
    await join(kept, organisation_id, bob)
    again = await kept.store.living(session.session_id, NOON, IDLE)
    assert again is not None and again.organisation_id == bob.organisation_id


async def test_an_invitation_is_kept_with_its_mail(kept: Kept) -> None:
    """It is found by its mail until it expires, listed newest first, and the mail is to be sent."""
    ada = await opened(kept)
    organisation_id = await founded(kept, ada)
    one, letter = invitation(organisation_id)
    other, others_letter = invitation(organisation_id, EVE)
    assert await invite(kept, one, letter) and await invite(kept, other, others_letter)
    assert await kept.organisations.invitation(letter.mail_id, NOON) == one
    assert await kept.organisations.invitation(letter.mail_id, LATER) is None
    newest_first = sorted((one, other), key=lambda each: each.invitation_id, reverse=True)
    assert await kept.organisations.invitations(organisation_id, NOON) == newest_first
    assert await kept.organisations.invitations(organisation_id, LATER) == []
    assert await kept.store.mail(letter.mail_id) == letter
    assert (MailRequested.type, "mail", letter.mail_id, 1) in await kept.announced()


async def test_a_new_invitation_takes_the_place_of_the_earlier(kept: Kept) -> None:
    """To the same address, however it is written: the earlier is gone, and its mail goes to nobody."""
    ada = await opened(kept)
    organisation_id = await founded(kept, ada)
    (one, letter), (again, next_letter) = invitation(organisation_id), invitation(organisation_id, BOB.upper(), OWNER)
    assert await invite(kept, one, letter, most=1) and await invite(kept, again, next_letter, most=1)
    assert await kept.organisations.invitation(letter.mail_id, NOON) is None
    assert await kept.organisations.invitations(organisation_id, NOON) == [again]
    unsent = await kept.store.mail(letter.mail_id)
    assert unsent is not None and unsent.kind is MailKind.NOBODY


async def test_an_organisation_has_so_many_open_invitations(kept: Kept) -> None:
    """Of more at once than there may be only so many are kept and sent; expired ones do not count."""
    ada = await opened(kept)
    organisation_id = await founded(kept, ada)
    assert await invite(kept, *invitation(organisation_id, EVE, expires=NOON), most=2)
    many = [invitation(organisation_id, f"p{number}@example.com") for number in range(5)]
    assert sum(await asyncio.gather(*(invite(kept, *one, most=2) for one in many))) == 2
    assert len(await kept.organisations.invitations(organisation_id, NOON)) == 2


async def test_an_invitation_is_taken_back_once(kept: Kept) -> None:
    """By its own organisation, while it is open; its mail goes to nobody."""
    ada, bob = await opened(kept), await opened(kept, BOB)
    organisation_id, others = await founded(kept, ada), await founded(kept, bob)
    one, letter = invitation(organisation_id, EVE)
    assert await invite(kept, one, letter)
    tried = [(others, NOON), (organisation_id, LATER), (organisation_id, NOON), (organisation_id, NOON)]
    revoked = [await kept.organisations.revoke(which, one.invitation_id, now) for which, now in tried]
    assert revoked == [False, False, True, False]
    unsent = await kept.store.mail(letter.mail_id)
    assert unsent is not None and unsent.kind is MailKind.NOBODY


async def test_an_invitation_is_accepted_once(kept: Kept) -> None:
    """Who accepts is in the organisation, in the role of the invitation, which is used up."""
    ada, bob = await opened(kept), await opened(kept, BOB)
    organisation_id = await founded(kept, ada)
    one, letter = invitation(organisation_id, role=MANAGER)
    assert await invite(kept, one, letter)
    new = (await roster(kept, organisation_id)).joined(bob.user_id, MANAGER)
    assert not await accept(kept, one, new, bob, now=LATER)
    assert not await accept(kept, one, replace(new, version=7), bob)
    assert await accept(kept, one, new, bob)
    assert not await accept(kept, one, (await roster(kept, organisation_id)).joined(bob.user_id, MANAGER), bob)
    assert dict((await roster(kept, organisation_id)).roles) == {ada.user_id: OWNER, bob.user_id: MANAGER}
    assert await kept.organisations.invitations(organisation_id, NOON) == []


async def test_who_accepts_is_in_so_many_organisations(kept: Kept) -> None:
    """Of two invitations at once, of somebody with room for one, one is accepted and the other stays."""
    ada, bob = await opened(kept, ADA), await opened(kept, BOB)
    offers = []
    for organisation_id in (await founded(kept, ada), await founded(kept, ada)):
        one, letter = invitation(organisation_id)
        assert await invite(kept, one, letter)
        offers.append((one, (await roster(kept, organisation_id)).joined(bob.user_id, MEMBER)))
    accepted = await asyncio.gather(*(accept(kept, *offer, bob, most=1) for offer in offers))
    assert sorted(accepted) == [False, True]
    left = [await kept.organisations.invitation(one.mail_id, NOON) for one, _ in offers]
    assert sorted(one is None for one in left) == [False, True]
