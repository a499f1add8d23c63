"""Organisations in PostgreSQL: each method is one statement of organisations.sql, behind locks where it counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

from infra.events.outbox import row
from infra.postgres import Database, queries
from mesh.model import OrganisationId, UserId
from services.auth.domain.entities import Mail, MailRequested, email_key
from services.auth.domain.membership import (
    Invitation,
    Member,
    Membership,
    MembershipChanged,
    OrganisationCreated,
    Roster,
)
from services.auth.store import details_of

sql = queries(Path(__file__).with_name("organisations.sql"))


class PostgresOrganisations:
    """A `services.auth.domain.organisations.OrganisationStore`."""

    def __init__(self, database: Database) -> None:
        self.database = database

    async def create(self, made: Membership, owner: UserId, most: int, event: OrganisationCreated) -> bool:
        async with self.database.transaction() as connection:
            await sql.lock_account(connection, user_id=owner)
            created = await sql.create_organisation(
                connection,
                organisation_id=made.organisation_id,
                name=made.name,
                user_id=owner,
                create_time=made.create_time,
                most=most,
                event=row(event),
            )
        return created is not None

    async def memberships(self, user_id: UserId) -> Sequence[Membership]:
        async with self.database.connection() as connection:
            return [Membership(**one) async for one in sql.get_memberships(connection, user_id=user_id)]

    async def rename(self, organisation_id: OrganisationId, name: str) -> None:
        async with self.database.connection() as connection:
            await sql.rename_organisation(connection, organisation_id=organisation_id, name=name)

    async def roster(self, organisation_id: OrganisationId) -> Roster | None:
        async with self.database.connection() as connection:
            rows = [one async for one in sql.get_roster(connection, organisation_id=organisation_id)]
        if not rows:
            return None
        roles = MappingProxyType({UserId(one["user_id"]): one["role"] for one in rows})
        return Roster(organisation_id, roles, rows[0]["name"], rows[0]["version"])

    async def change(self, roster: Roster, user_id: UserId, now: datetime, event: MembershipChanged) -> bool:
        named = {"organisation_id": roster.organisation_id, "version": roster.version, "user_id": user_id}
        role = roster.roles.get(user_id)
        async with self.database.connection() as connection:
            if role is None:
                return await sql.drop_member(connection, **named, event=row(event)) is not None
            return await sql.put_member(connection, **named, role=role, now=now, event=row(event)) is not None

    async def members(self, organisation_id: OrganisationId, after: str, limit: int) -> Sequence[Member]:
        async with self.database.connection() as connection:
            found = sql.get_members(connection, organisation_id=organisation_id, after=after, limit=limit)
            return [Member(**one) async for one in found]

    async def member(self, organisation_id: OrganisationId, user_id: UserId) -> Member | None:
        async with self.database.connection() as connection:
            found = await sql.get_member(connection, organisation_id=organisation_id, user_id=user_id)
        return Member(**found) if found else None

    async def invite(self, invitation: Invitation, most: int, mail: Mail, event: MailRequested) -> bool:
        async with self.database.transaction() as connection:
            await sql.lock_organisation(connection, organisation_id=invitation.organisation_id)
            put = await sql.invite(
                connection,
                invitation_id=invitation.invitation_id,
                organisation_id=invitation.organisation_id,
                mail_id=invitation.mail_id,
                email=invitation.email,
                email_key=email_key(invitation.email),
                role=invitation.role,
                inviter_id=invitation.inviter_id,
                create_time=invitation.create_time,
                expire_time=invitation.expire_time,
                most=most,
                details=details_of(mail),
                event=row(event),
            )
        return put is not None

    async def invitations(self, organisation_id: OrganisationId, now: datetime) -> Sequence[Invitation]:
        async with self.database.connection() as connection:
            found = sql.get_invitations(connection, organisation_id=organisation_id, now=now)
            return [Invitation(**one) async for one in found]

    async def revoke(self, organisation_id: OrganisationId, invitation_id: str, now: datetime) -> bool:
        async with self.database.transaction() as connection:
            await sql.lock_organisation(connection, organisation_id=organisation_id)
            revoked = await sql.revoke(
                connection, organisation_id=organisation_id, invitation_id=invitation_id, now=now
            )
        return revoked is not None

    async def invitation(self, mail_id: str, now: datetime) -> Invitation | None:
        async with self.database.connection() as connection:
            return _invitation(await sql.get_invitation(connection, mail_id=mail_id, now=now))

    async def accept(
        self,
        invitation: Invitation,
        roster: Roster,
        user_id: UserId,
        most: int,
        now: datetime,
        event: MembershipChanged,
    ) -> bool:
        async with self.database.transaction() as connection:
            await sql.lock_account(connection, user_id=user_id)
            await sql.lock_organisation(connection, organisation_id=invitation.organisation_id)
            accepted = await sql.accept(
                connection,
                invitation_id=invitation.invitation_id,
                organisation_id=invitation.organisation_id,
                version=roster.version,
                user_id=user_id,
                role=roster.roles[user_id],
                most=most,
                now=now,
                event=row(event),
            )
        return accepted is not None


def _invitation(found: Mapping[str, Any] | None) -> Invitation | None:
    return Invitation(**found) if found else None
