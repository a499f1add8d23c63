"""What is told of organisations."""

from __future__ import annotations

import httpx
from google.protobuf.message import Message
from tulle.auth.v1 import auth_pb2

from mesh.model import new_id
from services.auth.limits import ORGANISATIONS
from tests.e2e.people import Person
from tests.e2e.stories import Scene, Stories, post

ALL, HERE, ACCEPT = "/v1/organisations", "/v1/organisation", "/v1/invitations:accept"
INVITATIONS, MEMBERS = f"{HERE}/invitations", f"{HERE}/members"
MEMBER, MANAGER, OWNER = "ROLE_MEMBER", "ROLE_MANAGER", "ROLE_OWNER"
TOKEN = "never-a-token-that-was-made"


async def founder(person: Person) -> Person:
    """Somebody in an organisation that they have made."""
    await person.switch(await person.found())
    return person


async def joined(scene: Scene, role: str) -> tuple[Person, Person]:
    """The owner of an organisation, and somebody with a role in it; the tokens of both are for it."""
    owner, person = await founder(await scene.somebody()), await scene.somebody()
    await owner.admit(person, role)
    await person.switch(owner.organisation_id)
    return owner, person


async def busy(scene: Scene) -> Person:
    """Somebody who is in as many organisations as a person can be in."""
    person = await scene.somebody()
    for _ in range(ORGANISATIONS.organisations):
        await person.found()
    return person


async def delete(person: Person, path: str) -> httpx.Response:
    return await person.rest.delete(path, headers=person.bearer)


def tell(stories: Stories) -> None:
    """Who owns what, and how each error is provoked."""
    _tell_of_owners(stories)
    _tell_of_organisations(stories)
    _tell_of_members(stories)
    _tell_of_inviting(stories)
    _tell_of_accepting(stories)


def _tell_of_owners(stories: Stories) -> None:
    @stories.owns("organisation")
    async def organisation(person: Person) -> str:
        return await person.found()

    @stories.owns("joined_organisation")
    async def another_s(person: Person) -> str:
        owner = await founder(await Person(person.edge, person.mails).arrive())
        await owner.admit(person, MEMBER)
        return owner.organisation_id

    @stories.owns("member")
    async def member(person: Person) -> str:
        another = await Person(person.edge, person.mails).arrive()
        await (await founder(person)).admit(another, MEMBER)
        return another.user_id

    @stories.owns("invitation")
    async def invitation(person: Person) -> str:
        sent = await (await founder(person)).invite(f"{new_id('person')}@example.org", MEMBER)
        return str(sent["invitationId"])


def _tell_of_organisations(stories: Stories) -> None:
    @stories.provokes("CreateOrganisation", "TOO_MANY_ORGANISATIONS")
    async def too_many(scene: Scene) -> httpx.Response:
        return await post(await busy(scene), ALL, name="One more")

    @stories.provokes("SwitchOrganisation", "ORGANISATION_NOT_FOUND")
    async def elsewhere(scene: Scene) -> httpx.Response:
        return await post(await scene.somebody(), f"{ALL}/{new_id('organisation')}:switch")

    @stories.provokes("LeaveOrganisation", "ORGANISATION_NOT_FOUND")
    async def not_in_it(scene: Scene) -> httpx.Response:
        return await post(await scene.somebody(), f"{ALL}/{new_id('organisation')}:leave")

    @stories.provokes("LeaveOrganisation", "LAST_OWNER")
    async def last(scene: Scene) -> httpx.Response:
        person = await scene.somebody()
        return await post(person, f"{ALL}/{await person.found()}:leave")

    @stories.provokes("RenameOrganisation", "PERSONAL_ORGANISATION")
    async def personal(scene: Scene) -> httpx.Response:
        return await post(await scene.somebody(), f"{HERE}:rename", name="Mine")

    @stories.inside_after("CheckSession", "MEMBERSHIP_ENDED", "users")
    async def removed(scene: Scene) -> Message:
        owner, person = await joined(scene, MEMBER)
        assert (await delete(owner, f"{MEMBERS}/{person.user_id}")).status_code == 200
        session_id, organisation_id = person.tokens["sessionId"], owner.organisation_id
        return auth_pb2.CheckSessionRequest(session_id=session_id, organisation_id=organisation_id)


def _tell_of_members(stories: Stories) -> None:
    @stories.provokes("ListMembers", "BAD_PAGE_TOKEN")
    async def page(scene: Scene) -> httpx.Response:
        person = await scene.somebody()
        return await person.rest.get(MEMBERS, params={"pageToken": "x"}, headers=person.bearer)

    @stories.provokes("ChangeMemberRole", "MEMBER_NOT_FOUND")
    async def nobody(scene: Scene) -> httpx.Response:
        return await post(await scene.somebody(), f"{MEMBERS}/{new_id('user')}:changeRole", role=MEMBER)

    @stories.provokes("ChangeMemberRole", "LAST_OWNER")
    async def last(scene: Scene) -> httpx.Response:
        person = await founder(await scene.somebody())
        return await post(person, f"{MEMBERS}/{person.user_id}:changeRole", role=MEMBER)

    @stories.provokes("RemoveMember", "MEMBER_NOT_FOUND")
    async def nobody_to_remove(scene: Scene) -> httpx.Response:
        return await delete(await scene.somebody(), f"{MEMBERS}/{new_id('user')}")

    @stories.provokes("RemoveMember", "LAST_OWNER")
    async def oneself(scene: Scene) -> httpx.Response:
        person = await founder(await scene.somebody())
        return await delete(person, f"{MEMBERS}/{person.user_id}")

    @stories.provokes("RemoveMember", "OWNERS_ONLY")
    async def an_owner(scene: Scene) -> httpx.Response:
        owner, manager = await joined(scene, MANAGER)
        return await delete(manager, f"{MEMBERS}/{owner.user_id}")


def _tell_of_inviting(stories: Stories) -> None:
    @stories.provokes("InviteMember", "PERSONAL_ORGANISATION")
    async def personal(scene: Scene) -> httpx.Response:
        return await post(await scene.somebody(), INVITATIONS, email=scene.newcomer().email, role=MEMBER)

    @stories.provokes("InviteMember", "OWNERS_ONLY")
    async def an_owner(scene: Scene) -> httpx.Response:
        _, manager = await joined(scene, MANAGER)
        return await post(manager, INVITATIONS, email=scene.newcomer().email, role=OWNER)

    @stories.provokes("InviteMember", "ALREADY_MEMBER")
    async def twice(scene: Scene) -> httpx.Response:
        owner, person = await joined(scene, MEMBER)
        return await post(owner, INVITATIONS, email=person.email, role=MANAGER)

    @stories.provokes("InviteMember", "TOO_MANY_INVITATIONS")
    async def too_many(scene: Scene) -> httpx.Response:
        owner = await founder(await scene.somebody())
        for _ in range(ORGANISATIONS.invitations):
            await owner.invite(scene.newcomer().email, MEMBER)
        return await post(owner, INVITATIONS, email=scene.newcomer().email, role=MEMBER)

    @stories.provokes("InviteMember", "ORGANISATION_FULL")
    async def full(scene: Scene) -> httpx.Response:
        owner = await founder(await scene.somebody())
        await scene.stack.crowd(owner.organisation_id, ORGANISATIONS.members - 1)
        return await post(owner, INVITATIONS, email=scene.newcomer().email, role=MEMBER)

    @stories.provokes("RevokeInvitation", "INVITATION_NOT_FOUND")
    async def none(scene: Scene) -> httpx.Response:
        return await delete(await scene.somebody(), f"{INVITATIONS}/{new_id('invitation')}")


def _tell_of_accepting(stories: Stories) -> None:
    @stories.provokes("AcceptInvitation", "BAD_TOKEN")
    async def made_up(scene: Scene) -> httpx.Response:
        return await post(await scene.somebody(), ACCEPT, token=TOKEN)

    @stories.provokes("AcceptInvitation", "INVITATION_FOR_ANOTHER")
    async def another_s(scene: Scene) -> httpx.Response:
        owner, person = await founder(await scene.somebody()), await scene.somebody()
        return await post(await scene.somebody(), ACCEPT, token=await person.invited(owner, MEMBER))

    @stories.provokes("AcceptInvitation", "TOO_MANY_ORGANISATIONS")
    async def too_many(scene: Scene) -> httpx.Response:
        owner, person = await founder(await scene.somebody()), await busy(scene)
        return await post(person, ACCEPT, token=await person.invited(owner, MEMBER))

    @stories.provokes("AcceptInvitation", "ORGANISATION_FULL")
    async def full(scene: Scene) -> httpx.Response:
        owner, person = await founder(await scene.somebody()), await scene.somebody()
        token = await person.invited(owner, MEMBER)
        await scene.stack.crowd(owner.organisation_id, ORGANISATIONS.members - 1)
        return await post(person, ACCEPT, token=token)
