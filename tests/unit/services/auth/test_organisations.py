"""Making organisations, inviting people, acting in them, and leaving."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from mesh.model import Caller, Denied, OrganisationId, User, new_id
from services.auth.domain.entities import MailKind
from services.auth.domain.errors import (
    AlreadyMember,
    BadToken,
    InvitationForAnother,
    InvitationNotFound,
    LastOwner,
    MemberNotFound,
    MembershipEnded,
    OrganisationFull,
    OrganisationNotFound,
    OwnersOnly,
    PersonalOrganisation,
    SessionEnded,
    TooManyInvitations,
    TooManyOrganisations,
)
from services.auth.domain.membership import MANAGER, MEMBER, OWNER, Invitation
from services.auth.domain.organisations import Organisations
from tests.unit.services.auth.conftest import ADA, BOUNDS, World

BOB, EVE = "bob@example.com", "eve@example.com"


async def roles(world: World, caller: Caller) -> dict[str, str]:
    page = await world.organisations.list_members(caller, "", 0)
    return {one.user_id: one.role for one in page.members}


async def test_who_makes_an_organisation_owns_it_and_stays_where_they_are(world: World) -> None:
    """A new organisation is in the list of its owner; their token stays for the one that it was for."""
    ada = await world.newcomer(ADA)
    made = await world.organisations.create(ada, "Torres")
    personal, listed = await world.organisations.memberships(ada)
    assert (personal.personal, listed) == (True, made)
    assert (await world.organisations.current(ada)) == personal
    inside = await world.within(ada, made.organisation_id)
    assert (await world.organisations.current(inside)) == made
    assert inside.signed_in.roles == {OWNER}


async def test_a_person_is_in_so_many_organisations(world: World) -> None:
    """One more than that is neither made nor joined; the invitation stays until there is room."""
    ada, bob = await world.founder(), await world.newcomer(BOB)
    for _ in range(BOUNDS.organisations):
        made = await world.organisations.create(bob, "Bob's")
    with pytest.raises(TooManyOrganisations):
        await world.organisations.create(bob, "Another")
    _, token = await world.invite(ada, BOB, MEMBER)
    with pytest.raises(TooManyOrganisations):
        await world.organisations.accept(bob, token)
    inside = await world.within(bob, made.organisation_id)
    eve = await world.joining(inside, EVE, OWNER)
    assert eve.signed_in.roles == {OWNER}
    await world.organisations.leave(bob, made.organisation_id)
    assert (await world.organisations.accept(bob, token)).role == MEMBER


async def test_an_invitation_lets_one_person_in_once(world: World) -> None:
    """Whoever has the address and the mail joins in the role of the invitation; a second click finds it used."""
    ada, bob = await world.founder(), await world.newcomer(BOB)
    invitation, token = await world.invite(ada, BOB.upper(), MANAGER)
    assert [one.invitation_id for one in await world.organisations.list_invitations(ada)] == [invitation.invitation_id]
    joined = await world.organisations.accept(bob, token)
    assert (joined.name, joined.role) == ("Torres", MANAGER)
    with pytest.raises(BadToken):
        await world.organisations.accept(bob, token)
    assert await world.organisations.list_invitations(ada) == []
    assert (await roles(world, ada))[bob.signed_in.user_id] == MANAGER


async def test_two_clicks_at_once_join_once(world: World) -> None:
    """Of two that accept at the same moment one joins, and the other is told that the token is used."""
    ada, bob = await world.founder(), await world.newcomer(BOB)
    _, token = await world.invite(ada, BOB, MEMBER)
    both = await asyncio.gather(*(world.organisations.accept(bob, token) for _ in range(2)), return_exceptions=True)
    assert sorted(type(one).__name__ for one in both) == ["BadToken", "Membership"]


async def test_who_is_removed_as_they_join_is_told_so(world: World) -> None:
    """Between joining and the answer somebody may have been taken out again."""
    ada, bob = await world.founder(), await world.newcomer(BOB)
    _, token = await world.invite(ada, BOB, MEMBER)

    class Overtaken(Organisations):
        async def _join(self, caller: Caller, invitation: Invitation) -> None:
            await super()._join(caller, invitation)
            await self.remove(ada, bob.signed_in.user_id)

    old = world.organisations
    with pytest.raises(MembershipEnded):
        await Overtaken(old.store, old.accounts, old.bounds, old.now).accept(bob, token)


async def test_an_invitation_is_the_address_s(world: World) -> None:
    """Somebody else who has got the mail does not join with it, and does not use it up."""
    ada, eve = await world.founder(), await world.newcomer(EVE)
    _, token = await world.invite(ada, BOB, OWNER)
    with pytest.raises(InvitationForAnother):
        await world.organisations.accept(eve, token)
    assert await world.organisations.accept(await world.newcomer(BOB), token)


async def test_an_invitation_ends(world: World) -> None:
    """With its time, when it is taken back, and when another one goes to the same address."""
    ada, bob = await world.founder(), await world.newcomer(BOB)
    _, late = await world.invite(ada, BOB, MEMBER)
    world.now += BOUNDS.invitation_life
    again, replaced = await world.invite(ada, BOB, MEMBER)
    revoked, taken_back = await world.invite(ada, BOB, MEMBER)
    await world.organisations.revoke_invitation(ada, revoked.invitation_id)
    for token in (late, replaced, taken_back, "mail_x.y"):
        with pytest.raises(BadToken):
            await world.organisations.accept(bob, token)
    for gone in (again, revoked):
        with pytest.raises(InvitationNotFound):
            await world.organisations.revoke_invitation(ada, gone.invitation_id)


async def test_an_invitation_is_no_more_than_its_sender_may_give(world: World) -> None:
    """Whoever was removed, or lost the right to it, lets nobody in by a mail sent before; with it back they do."""
    ada = await world.founder()
    bob = await world.joining(ada, BOB, OWNER)
    me, eve = bob.signed_in.user_id, await world.newcomer(EVE)
    _, token = await world.invite(bob, EVE, OWNER)
    for role in (MANAGER, MEMBER):
        await world.organisations.change_role(ada, me, role)
        with pytest.raises(BadToken):
            await world.organisations.accept(eve, token)
    await world.organisations.remove(ada, me)
    with pytest.raises(BadToken):
        await world.organisations.accept(eve, token)
    await world.organisations.accept(await world.caller(BOB), (await world.invite(ada, BOB, OWNER))[1])
    assert (await world.organisations.accept(eve, token)).role == OWNER


async def test_the_mail_says_to_what_somebody_is_invited(world: World) -> None:
    """The name, in which nothing is a link, and the role; the mail goes to the address whether or not it is known."""
    ada = await world.founder(name="Torres.example")
    invitation, _ = await world.invite(ada, "nobody@example.org", MANAGER)
    mail = world.store.mails[invitation.mail_id]
    assert (mail.kind, mail.email) == (MailKind.INVITATION, "nobody@example.org")
    assert mail.details == {"organisation": "Torres. example", "role": MANAGER}


async def test_inviting_tells_nothing_of_strangers(world: World) -> None:
    """Who is in the organisation is not invited; any other address is answered alike, with and without an account."""
    ada = await world.founder()
    await world.newcomer(EVE)
    known, _ = await world.invite(ada, EVE, MEMBER)
    unknown, _ = await world.invite(ada, "nobody@example.org", MEMBER)
    same = replace(unknown, invitation_id=known.invitation_id, mail_id=known.mail_id, email=known.email)
    assert same == known
    await world.organisations.revoke_invitation(ada, unknown.invitation_id)
    await world.joining(ada, BOB, MEMBER)
    with pytest.raises(AlreadyMember):
        await world.invite(ada, BOB.upper(), MEMBER)


async def test_an_organisation_has_bounds(world: World) -> None:
    """So many open invitations, so many members: whoever comes too late is refused, also with an invitation."""
    ada, late = await world.founder(), await world.newcomer("late@example.com")
    _, token = await world.invite(ada, "late@example.com", MEMBER)
    await world.invite(ada, "other@example.com", MEMBER)
    with pytest.raises(TooManyInvitations):
        await world.invite(ada, "third@example.com", MEMBER)
    await world.invite(ada, "other@example.com", MANAGER)
    for invitation in await world.organisations.list_invitations(ada):
        if invitation.email == "other@example.com":
            await world.organisations.revoke_invitation(ada, invitation.invitation_id)
    for email in (BOB, EVE):
        await world.joining(ada, email, MEMBER)
    with pytest.raises(OrganisationFull):
        await world.organisations.accept(late, token)
    with pytest.raises(OrganisationFull):
        await world.invite(ada, "third@example.com", MEMBER)


async def test_managers_manage_all_but_owners(world: World) -> None:
    """A manager invites and removes members and managers, and neither makes nor removes owners."""
    ada = await world.founder()
    bob = await world.joining(ada, BOB, MANAGER)
    with pytest.raises(OwnersOnly):
        await world.invite(bob, EVE, OWNER)
    with pytest.raises(OwnersOnly):
        await world.organisations.remove(bob, ada.signed_in.user_id)
    with pytest.raises(Denied):
        await world.organisations.change_role(bob, bob.signed_in.user_id, OWNER)
    eve = await world.joining(bob, EVE, MEMBER)
    assert (await world.organisations.rename(bob, "Torres & Co")).name == "Torres & Co"
    await world.organisations.remove(bob, eve.signed_in.user_id)
    assert set(await roles(world, ada)) == {ada.signed_in.user_id, bob.signed_in.user_id}


async def test_a_role_that_was_lost_meanwhile_counts_for_nothing(world: World) -> None:
    """What somebody may is what their role allows when the change is made, not when their call began."""
    ada = await world.founder()
    bob = await world.joining(ada, BOB, MANAGER)
    await world.organisations.change_role(ada, bob.signed_in.user_id, MEMBER)
    with pytest.raises(Denied):
        await world.invite(bob, EVE, MEMBER)
    await world.organisations.remove(ada, bob.signed_in.user_id)
    with pytest.raises(MembershipEnded):
        await world.organisations.rename(bob, "Bob's now")


async def test_the_last_owner_stays(world: World) -> None:
    """Until there is another one the owner neither leaves nor is removed nor takes another role."""
    ada = await world.founder()
    here, me = ada.signed_in.organisation_id, ada.signed_in.user_id
    bob = await world.joining(ada, BOB, MEMBER)
    for attempt in (
        world.organisations.leave(ada, here),
        world.organisations.remove(ada, me),
        world.organisations.change_role(ada, me, MEMBER),
    ):
        with pytest.raises(LastOwner):
            await attempt
    changed = await world.organisations.change_role(ada, bob.signed_in.user_id, OWNER)
    assert (changed.role, changed.email) == (OWNER, BOB)
    await world.organisations.leave(ada, here)
    assert await roles(world, await world.again(bob)) == {bob.signed_in.user_id: OWNER}


async def test_the_same_role_changes_nothing(world: World) -> None:
    """Asked for a role that somebody has already, nothing is announced."""
    ada = await world.founder()
    before = len(world.store.events)
    assert (await world.organisations.change_role(ada, ada.signed_in.user_id, OWNER)).role == OWNER
    assert len(world.store.events) == before


async def test_one_leaves_what_one_is_in(world: World) -> None:
    """From any organisation, and no other's, nor one that is not there, nor one's own."""
    ada, bob = await world.founder(), await world.newcomer(BOB)
    for elsewhere in (ada.signed_in.organisation_id, OrganisationId(new_id("organisation"))):
        with pytest.raises(OrganisationNotFound):
            await world.organisations.leave(bob, elsewhere)
    with pytest.raises(LastOwner):
        await world.organisations.leave(bob, bob.signed_in.organisation_id)
    _, token = await world.invite(ada, BOB, MEMBER)
    joined = await world.organisations.accept(bob, token)
    await world.organisations.leave(bob, joined.organisation_id)
    assert [one.personal for one in await world.organisations.memberships(bob)] == [True]


async def test_a_personal_organisation_takes_nobody_in(world: World) -> None:
    """It has no name and no invitations, and one member, who is its owner."""
    ada, bob = await world.newcomer(ADA), await world.newcomer(BOB)
    with pytest.raises(PersonalOrganisation):
        await world.organisations.rename(ada, "Ada's")
    with pytest.raises(PersonalOrganisation):
        await world.invite(ada, BOB, MEMBER)
    assert await roles(world, ada) == {ada.signed_in.user_id: OWNER}
    assert await world.organisations.list_invitations(ada) == []
    with pytest.raises(MemberNotFound):
        await world.organisations.remove(ada, bob.signed_in.user_id)
    assert (await world.organisations.change_role(ada, ada.signed_in.user_id, OWNER)).role == OWNER


async def test_addresses_are_for_those_who_manage(world: World) -> None:
    """Members see who is there; owners and managers see addresses too. Pages go by id."""
    ada = await world.founder()
    bob = await world.joining(ada, BOB, MEMBER)
    first = await world.organisations.list_members(bob, "", 1)
    second = await world.organisations.list_members(bob, first.after, 1)
    assert [one.email for one in (*first.members, *second.members)] == ["", ""]
    assert second.after == ""
    whole = await world.organisations.list_members(ada, "", 0)
    assert [one.user_id for one in whole.members] == [one.user_id for one in (*first.members, *second.members)]
    assert {one.email for one in whole.members} == {ADA, BOB}


async def test_a_token_is_for_the_organisation_that_was_switched_to(world: World) -> None:
    """With the role there; refresh goes on in it, and leads to the personal one when the membership has ended."""
    ada, bob = await world.founder(), await world.newcomer(BOB)
    here, own = ada.signed_in.organisation_id, bob.signed_in.organisation_id
    _, token = await world.invite(ada, BOB, MANAGER)
    await world.organisations.accept(bob, token)
    issued = await world.log_in(email=BOB)
    user = User(bob.signed_in.user_id, own, issued.session_id)
    switched, _ = await world.sessions.switch(replace(bob, user=user), here)
    assert switched == f"{here} manager"
    refreshed = await world.sessions.refresh(issued.refresh_token)
    assert (refreshed.access_token, refreshed.organisation_id) == (f"{here} manager", here)
    await world.organisations.remove(ada, bob.signed_in.user_id)
    back = await world.sessions.refresh(refreshed.refresh_token)
    assert (back.access_token, back.organisation_id) == (f"{own} owner", own)
    with pytest.raises(OrganisationNotFound):
        await world.sessions.switch(bob, here)


async def test_a_session_is_checked_in_the_organisation_of_the_token(world: World) -> None:
    """Who is no longer in it is told so; who is, has the role of now; other tokens of the session go on."""
    ada = await world.founder()
    bob = await world.joining(ada, BOB, MEMBER)
    await world.organisations.change_role(ada, bob.signed_in.user_id, MANAGER)
    assert (await world.sessions.check(bob.signed_in)).roles == {MANAGER}
    await world.organisations.remove(ada, bob.signed_in.user_id)
    with pytest.raises(MembershipEnded):
        await world.sessions.check(bob.signed_in)
    living = await world.sessions.living(bob.signed_in.session_id)
    assert living.roles == {OWNER}
    own = replace(bob.signed_in, organisation_id=living.organisation_id)
    assert (await world.sessions.check(own)).roles == {OWNER}
    await world.sessions.log_out(bob)
    with pytest.raises(SessionEnded):
        await world.sessions.check(own)


async def test_everything_is_announced_without_saying_who(world: World) -> None:
    """Each change of who is in an organisation is an event of it, by ids and role, in order."""
    ada = await world.founder()
    here = ada.signed_in.organisation_id
    bob = await world.joining(ada, BOB, MEMBER)
    await world.organisations.change_role(ada, bob.signed_in.user_id, MANAGER)
    await world.organisations.leave(bob, here)
    told = [(seq, event) for seq, event in world.store.events if event.aggregate_id == here]
    assert [(seq, type(event).__name__, getattr(event, "role", None)) for seq, event in told] == [
        (1, "OrganisationCreated", None),
        (2, "MembershipChanged", MEMBER),
        (3, "MembershipChanged", MANAGER),
        (4, "MembershipChanged", ""),
    ]
    assert not any("@" in str(event) or "Torres" in str(event) for _, event in told)
