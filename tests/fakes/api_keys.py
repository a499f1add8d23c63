"""API keys in memory, beside a store of accounts; tests/contract/auth holds both to what PostgreSQL promises."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from mesh.model import SessionId, UserId
from services.auth.domain.api_keys import Acting, ApiKey
from services.auth.domain.entities import Mail, MailRequested
from services.auth.domain.membership import OWNER
from tests.fakes.auth import FakeStore


class FakeApiKeys:
    """A `services.auth.domain.api_keys.ApiKeyStore`."""

    def __init__(self, store: FakeStore) -> None:
        self._store = store
        self._keys = store.api_keys

    async def put_api_key(
        self, key: ApiKey, session_id: SessionId, most: int, notice: Mail, event: MailRequested
    ) -> bool:
        living = self._store.kept.get(session_id)
        if living is None or living.session.user_id != key.user_id:
            return False
        if len(await self.api_keys(key.user_id, key.create_time)) >= most:
            return False
        self._keys[key.api_key_id] = key
        self._store.send(notice, event)
        return True

    async def api_keys(self, user_id: UserId, now: datetime) -> Sequence[ApiKey]:
        own = (key for key in self._keys.values() if key.user_id == user_id and key.expire_time > now)
        return sorted(own, key=lambda key: key.api_key_id)

    async def acting(self, api_key_id: str, now: datetime) -> Acting | None:
        key = self._keys.get(api_key_id)
        if key is None or key.expire_time <= now:
            return None
        account = self._store.accounts[key.user_id]
        personal = OWNER if key.organisation_id == account.organisation_id else None
        role = personal or self._store.role_in(key.organisation_id, key.user_id)
        return Acting(key, account.roles | {role}) if role else None

    async def rotate_api_key(self, old: ApiKey, new: ApiKey, notice: Mail, event: MailRequested) -> bool:
        kept = self._keys.get(old.api_key_id)
        if kept is None or kept.secret_hash != old.secret_hash:
            return False
        self._keys[old.api_key_id] = replace(new, use_time=kept.use_time)
        self._store.send(notice, event)
        return True

    async def note_use(self, api_key_id: str, now: datetime, before: datetime) -> None:
        kept = self._keys.get(api_key_id)
        if kept and (kept.use_time is None or kept.use_time <= before):
            self._keys[api_key_id] = replace(kept, use_time=now)

    async def drop_api_key(self, api_key_id: str, user_id: UserId) -> bool:
        kept = self._keys.get(api_key_id)
        if kept is None or kept.user_id != user_id:
            return False
        del self._keys[api_key_id]
        return True
