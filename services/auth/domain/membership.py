"""What an organisation is, who is in it, and the rules about their roles. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import ClassVar, Self

from mesh.model import Caller, Denied, Event, OrganisationId, UserId, require
from services.auth.domain.errors import LastOwner, MemberNotFound, MembershipEnded, OwnersOnly, PersonalOrganisation

OWNER, MANAGER, MEMBER = "owner", "manager", "member"
"""The roles in an organisation; everybody in it has exactly one."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much there may be: organisations of a person, members and open invitations of an organisation."""

    organisations: int
    members: int
    invitations: int
    invitation_life: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """An organisation and somebody's role in it. A personal one has no name."""

    organisation_id: OrganisationId
    name: str
    role: str
    personal: bool
    create_time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """Somebody in an organisation, with the address of their account."""

    user_id: UserId
    role: str
    join_time: datetime
    email: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Invitation:
    """An invitation that nobody has accepted yet. Whoever holds the mail `mail_id` may, with the address `email`."""

    invitation_id: str
    organisation_id: OrganisationId
    mail_id: str
    email: str
    role: str
    inviter_id: UserId
    create_time: datetime
    expire_time: datetime


@dataclass(frozen=True, slots=True)
class Roster:
    """Who is in an organisation, as of one version of it. `version` counts changes of who is in it, and as what."""

    organisation_id: OrganisationId
    roles: Mapping[UserId, str]
    name: str = ""
    version: int = 0

    @classmethod
    def personal(cls, organisation_id: OrganisationId, owner: UserId) -> Self:
        """That of a personal organisation: nobody joins, and nobody leaves."""
        return cls(organisation_id, MappingProxyType({owner: OWNER}))

    @property
    def is_personal(self) -> bool:
        """Whether it is that of a personal organisation, which no store keeps."""
        return self.version == 0

    def acting(self, caller: Caller, *allowed: str) -> str:
        """The role in which `caller` acts, as of this version. Raises: MembershipEnded; Denied."""
        role = self.roles.get(caller.signed_in.user_id)
        if role is None:
            raise MembershipEnded
        require(role in allowed, Denied)
        return role

    def shared(self) -> Self:
        """This roster, if it is one that others may join. Raises: PersonalOrganisation."""
        require(not self.is_personal, PersonalOrganisation)
        return self

    def stands_by(self, invitation: Invitation) -> bool:
        """Whether whoever sent an invitation may still give its role."""
        sender = self.roles.get(invitation.inviter_id)
        return sender == OWNER or (sender == MANAGER and invitation.role != OWNER)

    def role_of(self, user_id: UserId) -> str:
        """Somebody's role. Raises: MemberNotFound."""
        require(user_id in self.roles, MemberNotFound)
        return self.roles[user_id]

    def joined(self, user_id: UserId, role: str) -> Self:
        """With somebody in that role."""
        return replace(self, roles=MappingProxyType({**self.roles, user_id: role}))

    def changed(self, user_id: UserId, role: str) -> Self:
        """With somebody of it in another role. Raises: MemberNotFound; LastOwner."""
        self.role_of(user_id)
        return self.joined(user_id, role)._owned()

    def without(self, user_id: UserId) -> Self:
        """Without somebody of it. Raises: MemberNotFound; LastOwner."""
        self.role_of(user_id)
        roles = {one: role for one, role in self.roles.items() if one != user_id}
        return replace(self, roles=MappingProxyType(roles))._owned()

    def _owned(self) -> Self:
        require(OWNER in self.roles.values(), LastOwner)
        return self


def may_decide_about(actor: str, role: str) -> None:
    """Whether somebody in the role `actor` may give or take `role`. Raises: OwnersOnly."""
    require(actor == OWNER or role != OWNER, OwnersOnly)


_LINKED = re.compile(r"([.:/@])(?=\S)")


def as_mailed(name: str) -> str:
    """A name as it stands in a mail to a stranger, who shall not be led anywhere by it.

    Mail programs make links of what looks like one: a space after each `.`, `:`, `/` and `@` leaves nothing
    that does, and the name can still be read. What cannot be seen (Unicode's controls and formats) is left out.
    """
    return _LINKED.sub(r"\1 ", "".join(one for one in name if one.isprintable()))


@dataclass(frozen=True, slots=True, kw_only=True)
class OrganisationCreated(Event):
    """An organisation was made."""

    type: ClassVar[str] = "tulle.auth.v1.OrganisationCreated"
    resource: ClassVar[str] = "organisation"
    user_id: UserId

    @classmethod
    def of(cls, caller: Caller, organisation_id: OrganisationId) -> Self:
        """The event of a new organisation, whose owner is the caller."""
        return cls.by(caller, organisation_id, organisation_id, user_id=caller.signed_in.user_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class MembershipChanged(Event):
    """Somebody joined or left an organisation, or has another role in it; no `role`: they left."""

    type: ClassVar[str] = "tulle.auth.v1.MembershipChanged"
    resource: ClassVar[str] = "organisation"
    user_id: UserId
    role: str

    @classmethod
    def of(cls, caller: Caller, roster: Roster, user_id: UserId) -> Self:
        """The event of the roster in which somebody's membership is another one."""
        role = roster.roles.get(user_id, "")
        return cls.by(caller, roster.organisation_id, roster.organisation_id, user_id=user_id, role=role)
