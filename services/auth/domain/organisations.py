"""Organisations: making them, inviting people, roles in them. Whoever acts does so in the one of their token."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol, TypeVar

from mesh.model import Caller, Conflict, OrganisationId, UserId, new_id, require
from services.auth.domain.accounts import Accounts
from services.auth.domain.entities import Mail, MailKind, MailRequested, email_key
from services.auth.domain.errors import (
    AlreadyMember,
    BadToken,
    InvitationForAnother,
    InvitationNotFound,
    MemberNotFound,
    MembershipEnded,
    OrganisationFull,
    OrganisationNotFound,
    TooManyInvitations,
    TooManyOrganisations,
)
from services.auth.domain.membership import (
    MANAGER,
    OWNER,
    Bounds,
    Invitation,
    Member,
    Membership,
    MembershipChanged,
    OrganisationCreated,
    Roster,
    as_mailed,
    may_decide_about,
)

DEFAULT_PAGE = 50
LARGEST_PAGE = 200
ATTEMPTS = 5
"""How often a change is tried when others keep coming first."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page:
    """Members by their ids; `after` asks for the next page, empty on the last."""

    members: tuple[Member, ...]
    after: str


class OrganisationStore(Protocol):
    """Where organisations are kept; tests/contract/auth says what each method promises."""

    async def create(self, made: Membership, owner: UserId, most: int, event: OrganisationCreated) -> bool:
        """Keep a new organisation with its owner; False if they are in `most` already."""

    async def memberships(self, user_id: UserId) -> Sequence[Membership]:
        """The organisations that somebody is in: the personal one first, then by id."""

    async def rename(self, organisation_id: OrganisationId, name: str) -> None:
        """Give it another name."""

    async def roster(self, organisation_id: OrganisationId) -> Roster | None:
        """Who is in it; None for a personal one."""

    async def change(self, roster: Roster, user_id: UserId, now: datetime, event: MembershipChanged) -> bool:
        """Keep what `roster` says of somebody's membership; False if its version is not the present one."""

    async def members(self, organisation_id: OrganisationId, after: str, limit: int) -> Sequence[Member]:
        """At most `limit` members whose ids come after `after`, by id; of a personal one its owner."""

    async def member(self, organisation_id: OrganisationId, user_id: UserId) -> Member | None:
        """One of them."""

    async def invite(self, invitation: Invitation, most: int, mail: Mail, event: MailRequested) -> bool:
        """Keep an invitation in place of an earlier one to the address; False if there are `most` to others."""

    async def invitations(self, organisation_id: OrganisationId, now: datetime) -> Sequence[Invitation]:
        """The open ones, newest first."""

    async def revoke(self, organisation_id: OrganisationId, invitation_id: str, now: datetime) -> bool:
        """Forget an open invitation; whether there was one. Its mail, if it still waits, goes to nobody."""

    async def invitation(self, mail_id: str, now: datetime) -> Invitation | None:
        """The open invitation of a mail."""

    async def accept(
        self,
        invitation: Invitation,
        roster: Roster,
        user_id: UserId,
        most: int,
        now: datetime,
        event: MembershipChanged,
    ) -> bool:
        """Use the invitation up and keep what `roster` says of who accepts.

        False, and nothing used, if it is gone, they are in `most` organisations already or the roster's version
        is not the present one.
        """


@dataclass(frozen=True)
class Organisations:
    """The use cases."""

    store: OrganisationStore
    accounts: Accounts
    bounds: Bounds
    now: Callable[[], datetime]

    async def create(self, caller: Caller, name: str) -> Membership:
        """Make an organisation of which the caller is the owner. Raises: TooManyOrganisations."""
        now = self.now()
        organisation_id = OrganisationId(new_id("organisation", now.timestamp()))
        made = Membership(organisation_id=organisation_id, name=name, role=OWNER, personal=False, create_time=now)
        event = OrganisationCreated.of(caller, organisation_id)
        owner, most = caller.signed_in.user_id, self.bounds.organisations
        require(await self.store.create(made, owner, most, event), TooManyOrganisations)
        return made

    async def memberships(self, caller: Caller) -> Sequence[Membership]:
        """All of the caller's own, the personal one first."""
        return await self.store.memberships(caller.signed_in.user_id)

    async def current(self, caller: Caller) -> Membership:
        """That of the caller's token. Raises: MembershipEnded."""
        return await self._membership(caller, caller.signed_in.organisation_id)

    async def rename(self, caller: Caller, name: str) -> Membership:
        """Give the organisation another name. Raises: PersonalOrganisation."""
        roster = (await self._roster(caller)).shared()
        roster.acting(caller, OWNER, MANAGER)
        await self.store.rename(roster.organisation_id, name)
        return await self.current(caller)

    async def list_members(self, caller: Caller, after: str, size: int) -> Page:
        """A page of at most `size` members (0: the usual size); addresses only for owners and managers."""
        user, size = caller.signed_in, min(size or DEFAULT_PAGE, LARGEST_PAGE)
        found = await self.store.members(user.organisation_id, after, size + 1)
        if not user.roles & {OWNER, MANAGER}:
            found = [replace(one, email="") for one in found]
        return Page(tuple(found[:size]), found[size - 1].user_id if len(found) > size else "")

    async def change_role(self, caller: Caller, user_id: UserId, role: str) -> Member:
        """Give somebody another role. Raises: MemberNotFound; LastOwner; Conflict."""

        async def attempt() -> None:
            roster = await self._roster(caller)
            roster.acting(caller, OWNER)
            if roster.role_of(user_id) != role:
                await self._keep(caller, roster.changed(user_id, role), user_id)

        await _overtaking(attempt)
        found = await self.store.member(caller.signed_in.organisation_id, user_id)
        if found is None:
            raise MemberNotFound
        return found

    async def remove(self, caller: Caller, user_id: UserId) -> None:
        """Take somebody out. Raises: MemberNotFound; OwnersOnly; LastOwner; Conflict."""

        async def attempt() -> None:
            roster = await self._roster(caller)
            actor = roster.acting(caller, OWNER, MANAGER)
            may_decide_about(actor, roster.role_of(user_id))
            await self._keep(caller, roster.without(user_id), user_id)

        await _overtaking(attempt)

    async def leave(self, caller: Caller, organisation_id: OrganisationId) -> None:
        """End the caller's own membership, whichever organisation their token is for.

        Raises: OrganisationNotFound; LastOwner; Conflict.
        """
        user_id = caller.signed_in.user_id

        async def attempt() -> None:
            own = {one.organisation_id for one in await self.memberships(caller)}
            require(organisation_id in own, OrganisationNotFound)
            roster = await self._roster_of(organisation_id, user_id)
            require(user_id in roster.roles, OrganisationNotFound)
            await self._keep(caller, roster.without(user_id), user_id)

        await _overtaking(attempt)

    async def invite(self, caller: Caller, email: str, role: str) -> Invitation:
        """Invite somebody by mail, in place of an earlier invitation to the address.

        Raises: PersonalOrganisation; OwnersOnly; AlreadyMember; OrganisationFull; TooManyInvitations.
        """
        roster = (await self._roster(caller)).shared()
        may_decide_about(roster.acting(caller, OWNER, MANAGER), role)
        account = await self.accounts.store.account_of(email)
        require(account is None or account.user_id not in roster.roles, AlreadyMember)
        require(len(roster.roles) < self.bounds.members, OrganisationFull)
        details = {"organisation": as_mailed(roster.name), "role": role}
        mail = replace(self.accounts.mail(MailKind.INVITATION, email), details=details)
        invitation = self._invitation(caller, roster, mail, role)
        event = MailRequested.of(caller, mail)
        require(await self.store.invite(invitation, self.bounds.invitations, mail, event), TooManyInvitations)
        return invitation

    async def list_invitations(self, caller: Caller) -> Sequence[Invitation]:
        """The open ones of the organisation, newest first."""
        return await self.store.invitations(caller.signed_in.organisation_id, self.now())

    async def revoke_invitation(self, caller: Caller, invitation_id: str) -> None:
        """Take an invitation back. Raises: InvitationNotFound."""
        organisation_id = caller.signed_in.organisation_id
        require(await self.store.revoke(organisation_id, invitation_id, self.now()), InvitationNotFound)

    async def accept(self, caller: Caller, token: str) -> Membership:
        """Join the organisation of an invitation. Who is in it already keeps their role.

        Raises: BadToken; InvitationForAnother; OrganisationFull; TooManyOrganisations; Conflict; MembershipEnded if
        they were taken out again at once.
        """
        mail_id, own = self.accounts.mail_id(token), await self.accounts.authentication.own(caller)

        async def attempt() -> OrganisationId:
            invitation = await self.store.invitation(mail_id, self.now())
            if invitation is None:
                raise BadToken
            require(email_key(invitation.email) == email_key(own.email), InvitationForAnother)
            await self._join(caller, invitation)
            return invitation.organisation_id

        return await self._membership(caller, await _overtaking(attempt))

    async def _membership(self, caller: Caller, organisation_id: OrganisationId) -> Membership:
        own = await self.memberships(caller)
        found = next((one for one in own if one.organisation_id == organisation_id), None)
        if found is None:
            raise MembershipEnded
        return found

    async def _join(self, caller: Caller, invitation: Invitation) -> None:
        user_id, most = caller.signed_in.user_id, self.bounds.organisations
        roster = await self._roster_of(invitation.organisation_id, user_id)
        require(roster.stands_by(invitation), BadToken)
        role = roster.roles.get(user_id)
        if role is None:
            require(len(roster.roles) < self.bounds.members, OrganisationFull)
            shared = [one for one in await self.memberships(caller) if not one.personal]
            require(len(shared) < most, TooManyOrganisations)
        new = roster.joined(user_id, role or invitation.role)
        event = MembershipChanged.of(caller, new, user_id)
        require(await self.store.accept(invitation, new, user_id, most, self.now(), event), Conflict)

    async def _roster(self, caller: Caller) -> Roster:
        return await self._roster_of(caller.signed_in.organisation_id, caller.signed_in.user_id)

    async def _roster_of(self, organisation_id: OrganisationId, user_id: UserId) -> Roster:
        return await self.store.roster(organisation_id) or Roster.personal(organisation_id, user_id)

    async def _keep(self, caller: Caller, roster: Roster, user_id: UserId) -> None:
        event = MembershipChanged.of(caller, roster, user_id)
        require(await self.store.change(roster, user_id, self.now(), event), Conflict)

    def _invitation(self, caller: Caller, roster: Roster, mail: Mail, role: str) -> Invitation:
        return Invitation(
            invitation_id=new_id("invitation", mail.create_time.timestamp()),
            organisation_id=roster.organisation_id,
            mail_id=mail.mail_id,
            email=mail.email,
            role=role,
            inviter_id=caller.signed_in.user_id,
            create_time=mail.create_time,
            expire_time=mail.create_time + self.bounds.invitation_life,
        )


async def _overtaking(attempt: Callable[[], Awaitable[T]]) -> T:
    """Run `attempt`, and again when somebody came first."""
    for _ in range(ATTEMPTS - 1):
        try:
            return await attempt()
        except Conflict:
            continue
    return await attempt()
