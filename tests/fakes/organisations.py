"""Organisations in memory, beside a store of accounts; tests/contract/auth holds both to what PostgreSQL promises."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType

from mesh.model import Event, OrganisationId, UserId
from services.auth.domain.entities import Mail, MailKind, MailRequested, email_key
from services.auth.domain.membership import (
    OWNER,
    Invitation,
    Member,
    Membership,
    MembershipChanged,
    OrganisationCreated,
    Roster,
)
from tests.fakes.auth import FakeStore


class FakeOrganisations:
    """A `services.auth.domain.organisations.OrganisationStore`."""

    def __init__(self, store: FakeStore) -> None:
        self._store = store
        self._made: dict[OrganisationId, datetime] = {}
        self._joined: dict[tuple[OrganisationId, UserId], datetime] = {}
        self._invitations: dict[tuple[OrganisationId, str], Invitation] = {}

    async def create(self, made: Membership, owner: UserId, most: int, event: OrganisationCreated) -> bool:
        if sum(1 for _ in self._shared(owner)) >= most:
            return False
        self._made[made.organisation_id] = made.create_time
        roster = Roster(made.organisation_id, MappingProxyType({owner: OWNER}), made.name, 0)
        self._keep(roster, owner, made.create_time, event)
        return True

    async def memberships(self, user_id: UserId) -> Sequence[Membership]:
        account = self._store.accounts[user_id]
        personal = Membership(
            organisation_id=account.organisation_id,
            name="",
            role=OWNER,
            personal=True,
            create_time=account.create_time,
        )
        return [personal, *sorted(self._shared(user_id), key=lambda one: one.organisation_id)]

    async def rename(self, organisation_id: OrganisationId, name: str) -> None:
        self._store.rosters[organisation_id] = replace(self._store.rosters[organisation_id], name=name)

    async def roster(self, organisation_id: OrganisationId) -> Roster | None:
        return self._store.rosters.get(organisation_id)

    async def change(self, roster: Roster, user_id: UserId, now: datetime, event: MembershipChanged) -> bool:
        if self._store.rosters[roster.organisation_id].version != roster.version:
            return False
        self._keep(roster, user_id, now, event)
        return True

    async def members(self, organisation_id: OrganisationId, after: str, limit: int) -> Sequence[Member]:
        found = sorted(self._members(organisation_id), key=lambda one: one.user_id)
        return [one for one in found if one.user_id > after][:limit]

    async def member(self, organisation_id: OrganisationId, user_id: UserId) -> Member | None:
        return next((one for one in self._members(organisation_id) if one.user_id == user_id), None)

    async def invite(self, invitation: Invitation, most: int, mail: Mail, event: MailRequested) -> bool:
        place = (invitation.organisation_id, email_key(invitation.email))
        open_ = await self.invitations(invitation.organisation_id, invitation.create_time)
        if len([one for one in open_ if email_key(one.email) != place[1]]) >= most:
            return False
        self._unsend(self._invitations.get(place))
        self._invitations[place] = invitation
        self._store.send(mail, event)
        return True

    async def invitations(self, organisation_id: OrganisationId, now: datetime) -> Sequence[Invitation]:
        found = [
            one
            for one in self._invitations.values()
            if one.organisation_id == organisation_id and one.expire_time > now
        ]
        return sorted(found, key=lambda one: one.invitation_id, reverse=True)

    async def revoke(self, organisation_id: OrganisationId, invitation_id: str, now: datetime) -> bool:
        open_ = await self.invitations(organisation_id, now)
        found = next((one for one in open_ if one.invitation_id == invitation_id), None)
        if found is not None:
            self._unsend(found)
            del self._invitations[organisation_id, email_key(found.email)]
        return found is not None

    async def invitation(self, mail_id: str, now: datetime) -> Invitation | None:
        found = (one for one in self._invitations.values() if one.mail_id == mail_id and one.expire_time > now)
        return next(found, None)

    async def accept(
        self,
        invitation: Invitation,
        roster: Roster,
        user_id: UserId,
        most: int,
        now: datetime,
        event: MembershipChanged,
    ) -> bool:
        if await self.invitation(invitation.mail_id, now) != invitation:
            return False
        if sum(one.organisation_id != invitation.organisation_id for one in self._shared(user_id)) >= most:
            return False
        if not await self.change(roster, user_id, now, event):
            return False
        del self._invitations[invitation.organisation_id, email_key(invitation.email)]
        return True

    def _keep(self, roster: Roster, user_id: UserId, now: datetime, event: Event) -> None:
        place = (roster.organisation_id, user_id)
        joined = {place: now, **self._joined} if user_id in roster.roles else self._joined
        self._joined = {one: at for one, at in joined.items() if one != place or user_id in roster.roles}
        name = self._store.rosters[roster.organisation_id].name if roster.version else roster.name
        self._store.rosters[roster.organisation_id] = replace(roster, name=name, version=roster.version + 1)
        self._store.events.append((roster.version + 1, event))

    def _shared(self, user_id: UserId) -> Iterator[Membership]:
        for organisation_id, roster in self._store.rosters.items():
            if user_id in roster.roles:
                yield Membership(
                    organisation_id=organisation_id,
                    name=roster.name,
                    role=roster.roles[user_id],
                    personal=False,
                    create_time=self._made[organisation_id],
                )

    def _members(self, organisation_id: OrganisationId) -> Iterator[Member]:
        accounts = self._store.accounts
        for one in accounts.values():
            if one.organisation_id == organisation_id:
                yield Member(user_id=one.user_id, role=OWNER, join_time=one.create_time, email=one.email)
        roster = self._store.rosters.get(organisation_id)
        for user_id, role in roster.roles.items() if roster else ():
            joined = self._joined[organisation_id, user_id]
            yield Member(user_id=user_id, role=role, join_time=joined, email=accounts[user_id].email)

    def _unsend(self, earlier: Invitation | None) -> None:
        if earlier is not None and earlier.mail_id in self._store.mails:
            unsent = replace(self._store.mails[earlier.mail_id], kind=MailKind.NOBODY)
            self._store.mails[earlier.mail_id] = unsent
