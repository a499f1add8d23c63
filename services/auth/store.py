"""Accounts and sessions in PostgreSQL: each method is one statement of queries.sql."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from infra.events.outbox import row
from infra.postgres import Database, queries
from mesh.model import OrganisationId, SessionId, UserId
from services.auth.domain.devices import Arrival
from services.auth.domain.entities import (
    Account,
    AccountCreated,
    Mail,
    MailKind,
    MailRequested,
    RolesChanged,
    Session,
    SignedIn,
    email_key,
)

sql = queries(Path(__file__).with_name("queries.sql"))


class PostgresStore:
    """A `services.auth.domain.ports.Store`."""

    def __init__(self, database: Database) -> None:
        self.database = database

    async def sign_up(self, mail: Mail, expires: datetime, event: MailRequested) -> None:
        async with self.database.connection() as connection:
            await sql.sign_up(
                connection,
                mail_id=mail.mail_id,
                email=mail.email,
                email_key=email_key(mail.email),
                expire_time=expires,
                create_time=mail.create_time,
                details=details_of(mail),
                event=row(event),
            )

    async def signed_up(self, mail_id: str, now: datetime) -> str | None:
        async with self.database.connection() as connection:
            email: str | None = await sql.signed_up(connection, mail_id=mail_id, now=now)
        return email

    async def open_account(self, mail_id: str, account: Account, now: datetime, event: AccountCreated) -> bool:
        async with self.database.connection() as connection:
            opened = await sql.open_account(
                connection,
                mail_id=mail_id,
                user_id=account.user_id,
                organisation_id=account.organisation_id,
                password_hash=account.password_hash,
                password_length=account.password_length,
                create_time=account.create_time,
                now=now,
                event=row(event),
            )
        return opened is not None

    async def request_reset(self, mail: Mail, expires: datetime, event: MailRequested) -> None:
        async with self.database.connection() as connection:
            await sql.request_reset(
                connection,
                mail_id=mail.mail_id,
                email_key=email_key(mail.email),
                expire_time=expires,
                create_time=mail.create_time,
                details=details_of(mail),
                event=row(event),
            )

    async def reset_account(self, mail_id: str, now: datetime) -> Account | None:
        async with self.database.connection() as connection:
            return _account(await sql.reset_account(connection, mail_id=mail_id, now=now))

    async def reset_password(
        self, mail_id: str, old: Account, new: Account, now: datetime, notice: Mail, event: MailRequested
    ) -> bool:
        async with self.database.transaction() as connection:
            await sql.lock_account(connection, user_id=old.user_id)
            done = await sql.reset_password(
                connection,
                mail_id=mail_id,
                now=now,
                second_factor=old.totp_confirmed,
                password_hash=new.password_hash,
                password_length=new.password_length,
                **_notice(notice, event),
            )
        return done is not None

    async def mail(self, mail_id: str) -> Mail | None:
        async with self.database.connection() as connection:
            found = await sql.get_mail(connection, mail_id=mail_id)
        if found is None:
            return None
        return Mail(**{**found, "kind": MailKind(found["kind"]), "details": json.loads(found["details"])})

    async def account(self, user_id: UserId) -> Account | None:
        async with self.database.connection() as connection:
            return _account(await sql.get_account(connection, user_id=user_id))

    async def account_of(self, email: str) -> Account | None:
        async with self.database.connection() as connection:
            return _account(await sql.get_account_of(connection, email_key=email_key(email)))

    async def set_password(
        self, old: Account, new: Account, keep: SessionId, notice: Mail, event: MailRequested
    ) -> bool:
        async with self.database.transaction() as connection:
            await sql.lock_account(connection, user_id=old.user_id)
            done = await sql.set_password(
                connection,
                user_id=old.user_id,
                old_hash=old.password_hash,
                second_factor=old.totp_confirmed,
                password_hash=new.password_hash,
                password_length=new.password_length,
                keep=keep,
                **_notice(notice, event),
            )
        return done is not None

    async def rehash(self, user_id: UserId, old: str, new: str) -> None:
        async with self.database.connection() as connection:
            await sql.rehash(connection, user_id=user_id, old=old, new=new)

    async def put_challenge(self, challenge: bytes, account: Account, device: str, expires: datetime) -> bool:
        async with self.database.connection() as connection:
            put = await sql.put_challenge(
                connection, challenge=challenge, device=device, expire_time=expires, **_shown(account)
            )
        return put is not None

    async def challenged(self, challenge: bytes, now: datetime) -> tuple[Account, str] | None:
        async with self.database.connection() as connection:
            found = await sql.get_challenged(connection, challenge=challenge, now=now)
        if found is None:
            return None
        values = dict(found)
        device = values.pop("device")
        account = _account(values)
        return (account, device) if account else None

    async def close_challenge(self, challenge: bytes) -> bool:
        async with self.database.connection() as connection:
            return await sql.close_challenge(connection, challenge=challenge) is not None

    async def put_session(
        self, session: Session, account: Account, token_hash: bytes, most: int, arrival: Arrival
    ) -> bool:
        async with self.database.connection() as connection:
            put = await sql.put_session(
                connection,
                session_id=session.session_id,
                device=session.device,
                token_hash=token_hash,
                create_time=session.create_time,
                refresh_time=session.refresh_time,
                expire_time=session.expire_time,
                others=most - 1,
                device_hash=arrival.device_hash,
                other_devices=arrival.most - 1,
                notice_id=arrival.notice.mail_id,
                email=arrival.notice.email,
                details=details_of(arrival.notice),
                event=row(arrival.event),
                **_shown(account),
            )
        return put is not None

    async def rotate(
        self, session_id: SessionId, old: bytes, new: bytes, now: datetime, idle_since: datetime
    ) -> SignedIn | None:
        async with self.database.connection() as connection:
            found = await sql.rotate(
                connection, session_id=session_id, old=old, new=new, now=now, idle_since=idle_since
            )
        return _signed_in(found)

    async def repeat(
        self, session_id: SessionId, previous: bytes, rotated_since: datetime, now: datetime
    ) -> SignedIn | None:
        async with self.database.connection() as connection:
            found = await sql.repeat(
                connection, session_id=session_id, previous=previous, rotated_since=rotated_since, now=now
            )
        return _signed_in(found)

    async def sessions(self, user_id: UserId, now: datetime, idle_since: datetime, limit: int) -> Sequence[Session]:
        async with self.database.connection() as connection:
            found = sql.get_sessions(connection, user_id=user_id, now=now, idle_since=idle_since, limit=limit)
            return [Session(**one) async for one in found]

    async def living(
        self, session_id: SessionId, now: datetime, idle_since: datetime, organisation_id: OrganisationId | None = None
    ) -> SignedIn | None:
        async with self.database.connection() as connection:
            found = await sql.get_living(
                connection, session_id=session_id, organisation_id=organisation_id, now=now, idle_since=idle_since
            )
        return _signed_in(found)

    async def switch(self, session_id: SessionId, user_id: UserId, organisation_id: OrganisationId) -> SignedIn | None:
        async with self.database.connection() as connection:
            switched = await sql.switch(
                connection, session_id=session_id, user_id=user_id, organisation_id=organisation_id
            )
        return _signed_in(switched)

    async def end_session(self, session_id: SessionId, user_id: UserId | None = None) -> bool:
        async with self.database.connection() as connection:
            return await sql.end_session(connection, session_id=session_id, user_id=user_id) is not None

    async def end_sessions(self, user_id: UserId) -> int:
        async with self.database.connection() as connection:
            return int(await sql.end_sessions(connection, user_id=user_id))

    async def put_totp(self, user_id: UserId, seed: bytes) -> bool:
        async with self.database.connection() as connection:
            return await sql.put_totp(connection, user_id=user_id, seed=seed) is not None

    async def use_step(self, user_id: UserId, step: int) -> bool:
        async with self.database.connection() as connection:
            return await sql.use_step(connection, user_id=user_id, step=step) is not None

    async def confirm_totp(self, account: Account, codes: Sequence[bytes], notice: Mail, event: MailRequested) -> bool:
        async with self.database.connection() as connection:
            done = await sql.confirm_totp(
                connection, user_id=account.user_id, seed=account.totp_seed, codes=codes, **_notice(notice, event)
            )
        return done is not None

    async def drop_totp(self, account: Account, notice: Mail, event: MailRequested) -> bool:
        async with self.database.connection() as connection:
            done = await sql.drop_totp(
                connection, user_id=account.user_id, password_hash=account.password_hash, **_notice(notice, event)
            )
        return done is not None

    async def replace_codes(self, account: Account, codes: Sequence[bytes], notice: Mail, event: MailRequested) -> bool:
        async with self.database.connection() as connection:
            done = await sql.replace_codes(
                connection, user_id=account.user_id, seed=account.totp_seed, codes=codes, **_notice(notice, event)
            )
        return done is not None

    async def use_code(self, user_id: UserId, code: bytes) -> bool:
        async with self.database.connection() as connection:
            return await sql.use_code(connection, user_id=user_id, code=code) is not None

    async def set_roles(self, account: Account, roles: frozenset[str], event: RolesChanged) -> bool:
        async with self.database.connection() as connection:
            done = await sql.set_roles(
                connection, user_id=account.user_id, version=account.version, roles=sorted(roles), event=row(event)
            )
        return done is not None

    async def administrators(self) -> int:
        async with self.database.connection() as connection:
            return int(await sql.administrators(connection))


def _shown(account: Account) -> dict[str, object]:
    """What somebody has shown to be theirs, as it stood then."""
    return {
        "user_id": account.user_id,
        "password_hash": account.password_hash,
        "second_factor": account.totp_confirmed,
    }


def _notice(notice: Mail, event: MailRequested) -> dict[str, object]:
    return {
        "notice_id": notice.mail_id,
        "email": notice.email,
        "create_time": notice.create_time,
        "details": details_of(notice),
        "event": row(event),
    }


def details_of(mail: Mail) -> str:
    """What a mail's text needs besides, as its column takes it."""
    return json.dumps(dict(mail.details))


def _account(found: Mapping[str, Any] | None) -> Account | None:
    if found is None:
        return None
    return Account(**{**found, "roles": frozenset(found["roles"])})


def _signed_in(found: Mapping[str, Any] | None) -> SignedIn | None:
    if found is None:
        return None
    values = dict(found)
    roles, organisation_id = frozenset(values.pop("roles")), OrganisationId(values.pop("organisation_id"))
    return SignedIn(session=Session(**values), organisation_id=organisation_id, roles=roles)
