"""Passkeys in PostgreSQL: each method is one statement of passkeys.sql."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from infra.events.outbox import row
from infra.postgres import Database, queries
from mesh.model import SessionId, UserId
from services.auth.domain.entities import Mail, MailRequested
from services.auth.domain.passkeys import Passkey
from services.auth.store import details_of

sql = queries(Path(__file__).with_name("passkeys.sql"))


class PostgresPasskeys:
    """A `services.auth.domain.passkeys.PasskeyStore`."""

    def __init__(self, database: Database) -> None:
        self.database = database

    async def open_challenge(self, challenge: bytes, session_id: SessionId | None, expires: datetime) -> bool:
        async with self.database.connection() as connection:
            opened = await sql.open_challenge(
                connection, challenge=challenge, session_id=session_id, expire_time=expires
            )
        return opened is not None

    async def close_challenge(self, challenge: bytes, session_id: SessionId | None, now: datetime) -> bool:
        async with self.database.connection() as connection:
            closed = await sql.close_challenge(connection, challenge=challenge, session_id=session_id, now=now)
        return closed is not None

    async def put_passkey(
        self, passkey: Passkey, session_id: SessionId, most: int, notice: Mail, event: MailRequested
    ) -> bool:
        async with self.database.transaction() as connection:
            await sql.lock_account(connection, user_id=passkey.user_id)
            put = await sql.put_passkey(
                connection,
                passkey_id=passkey.passkey_id,
                user_id=passkey.user_id,
                name=passkey.name,
                credential_id=passkey.credential_id,
                public_key=passkey.public_key,
                sign_count=passkey.sign_count,
                backed_up=passkey.backed_up,
                create_time=passkey.create_time,
                session_id=session_id,
                most=most,
                notice_id=notice.mail_id,
                email=notice.email,
                details=details_of(notice),
                event=row(event),
            )
        return put is not None

    async def passkeys(self, user_id: UserId) -> Sequence[Passkey]:
        async with self.database.connection() as connection:
            return [Passkey(**one) async for one in sql.get_passkeys(connection, user_id=user_id)]

    async def passkey_of(self, credential_id: bytes) -> Passkey | None:
        async with self.database.connection() as connection:
            return _passkey(await sql.get_passkey_of(connection, credential_id=credential_id))

    async def use_passkey(self, passkey_id: str, sign_count: int, backed_up: bool, now: datetime) -> bool:
        async with self.database.connection() as connection:
            used = await sql.use_passkey(
                connection, passkey_id=passkey_id, sign_count=sign_count, backed_up=backed_up, now=now
            )
        return used is not None

    async def rename_passkey(self, passkey_id: str, user_id: UserId, name: str) -> Passkey | None:
        async with self.database.connection() as connection:
            return _passkey(await sql.rename_passkey(connection, passkey_id=passkey_id, user_id=user_id, name=name))

    async def drop_passkey(self, passkey_id: str, user_id: UserId, notice: Mail, event: MailRequested) -> bool:
        async with self.database.connection() as connection:
            dropped = await sql.drop_passkey(
                connection,
                passkey_id=passkey_id,
                user_id=user_id,
                notice_id=notice.mail_id,
                email=notice.email,
                create_time=notice.create_time,
                details=details_of(notice),
                event=row(event),
            )
        return dropped is not None


def _passkey(found: Mapping[str, Any] | None) -> Passkey | None:
    return Passkey(**found) if found else None
