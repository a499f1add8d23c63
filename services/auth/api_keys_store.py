"""API keys in PostgreSQL: each method is one statement of api_keys.sql."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from infra.events.outbox import row
from infra.postgres import Database, queries
from mesh.model import SessionId, UserId
from services.auth.domain.api_keys import Acting, ApiKey
from services.auth.domain.entities import Mail, MailRequested
from services.auth.store import details_of

sql = queries(Path(__file__).with_name("api_keys.sql"))


class PostgresApiKeys:
    """A `services.auth.domain.api_keys.ApiKeyStore`."""

    def __init__(self, database: Database) -> None:
        self.database = database

    async def put_api_key(
        self, key: ApiKey, session_id: SessionId, most: int, notice: Mail, event: MailRequested
    ) -> bool:
        async with self.database.transaction() as connection:
            await sql.lock_account(connection, user_id=key.user_id)
            put = await sql.put_api_key(
                connection,
                api_key_id=key.api_key_id,
                user_id=key.user_id,
                organisation_id=key.organisation_id,
                name=key.name,
                scopes=list(key.scopes),
                secret_hash=key.secret_hash,
                create_time=key.create_time,
                expire_time=key.expire_time,
                session_id=session_id,
                most=most,
                notice_id=notice.mail_id,
                email=notice.email,
                details=details_of(notice),
                event=row(event),
            )
        return put is not None

    async def api_keys(self, user_id: UserId, now: datetime) -> Sequence[ApiKey]:
        async with self.database.connection() as connection:
            return [_api_key(one) async for one in sql.get_api_keys(connection, user_id=user_id, now=now)]

    async def acting(self, api_key_id: str, now: datetime) -> Acting | None:
        async with self.database.connection() as connection:
            found = await sql.get_acting(connection, api_key_id=api_key_id, now=now)
        if found is None:
            return None
        values = dict(found)
        roles = frozenset(values.pop("roles"))
        return Acting(_api_key(values), roles)

    async def rotate_api_key(self, old: ApiKey, new: ApiKey, notice: Mail, event: MailRequested) -> bool:
        async with self.database.connection() as connection:
            rotated = await sql.rotate_api_key(
                connection,
                api_key_id=old.api_key_id,
                old_hash=old.secret_hash,
                secret_hash=new.secret_hash,
                previous_hash=new.previous_hash,
                previous_expire_time=new.previous_expire_time,
                expire_time=new.expire_time,
                notice_id=notice.mail_id,
                email=notice.email,
                details=details_of(notice),
                create_time=notice.create_time,
                event=row(event),
            )
        return rotated is not None

    async def note_use(self, api_key_id: str, now: datetime, before: datetime) -> None:
        async with self.database.connection() as connection:
            await sql.note_use(connection, api_key_id=api_key_id, now=now, before=before)

    async def drop_api_key(self, api_key_id: str, user_id: UserId) -> bool:
        async with self.database.connection() as connection:
            return await sql.drop_api_key(connection, api_key_id=api_key_id, user_id=user_id) is not None


def _api_key(found: Mapping[str, Any]) -> ApiKey:
    return ApiKey(**{**found, "scopes": tuple(found["scopes"])})
