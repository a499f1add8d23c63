"""Passkeys in memory, beside a store of accounts; tests/contract/auth holds both to what PostgreSQL promises."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from mesh.model import SessionId, UserId
from services.auth.domain.entities import Mail, MailRequested
from services.auth.domain.passkeys import Passkey
from tests.fakes.auth import FakeStore


class FakePasskeys:
    """A `services.auth.domain.passkeys.PasskeyStore`."""

    def __init__(self, store: FakeStore) -> None:
        self._store = store
        self._passkeys: dict[str, Passkey] = {}
        self._challenges: dict[bytes, tuple[SessionId | None, datetime]] = {}

    async def open_challenge(self, challenge: bytes, session_id: SessionId | None, expires: datetime) -> bool:
        if session_id is not None and session_id not in self._store.kept:
            return False
        self._challenges[challenge] = (session_id, expires)
        return True

    async def close_challenge(self, challenge: bytes, session_id: SessionId | None, now: datetime) -> bool:
        whose, expires = self._challenges.get(challenge, (None, now))
        if whose != session_id or expires <= now or (whose and whose not in self._store.kept):
            return False
        del self._challenges[challenge]
        return True

    async def put_passkey(
        self, passkey: Passkey, session_id: SessionId, most: int, notice: Mail, event: MailRequested
    ) -> bool:
        living = self._store.kept.get(session_id)
        if living is None or living.session.user_id != passkey.user_id:
            return False
        if len(await self.passkeys(passkey.user_id)) >= most or await self.passkey_of(passkey.credential_id):
            return False
        self._passkeys[passkey.passkey_id] = passkey
        self._store.send(notice, event)
        return True

    async def passkeys(self, user_id: UserId) -> Sequence[Passkey]:
        own = (one for one in self._passkeys.values() if one.user_id == user_id)
        return sorted(own, key=lambda one: one.passkey_id)

    async def passkey_of(self, credential_id: bytes) -> Passkey | None:
        return next((one for one in self._passkeys.values() if one.credential_id == credential_id), None)

    async def use_passkey(self, passkey_id: str, sign_count: int, backed_up: bool, now: datetime) -> bool:
        kept = self._passkeys.get(passkey_id)
        if kept is None or not (kept.sign_count < sign_count or kept.sign_count == sign_count == 0):
            return False
        self._passkeys[passkey_id] = replace(kept, sign_count=sign_count, backed_up=backed_up, use_time=now)
        return True

    async def rename_passkey(self, passkey_id: str, user_id: UserId, name: str) -> Passkey | None:
        kept = self._passkeys.get(passkey_id)
        if kept is None or kept.user_id != user_id:
            return None
        self._passkeys[passkey_id] = replace(kept, name=name)
        return self._passkeys[passkey_id]

    async def drop_passkey(self, passkey_id: str, user_id: UserId, notice: Mail, event: MailRequested) -> bool:
        kept = self._passkeys.get(passkey_id)
        if kept is None or kept.user_id != user_id:
            return False
        del self._passkeys[passkey_id]
        self._store.send(notice, event)
        return True
