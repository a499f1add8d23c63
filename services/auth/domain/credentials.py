"""What an access token stands on: a session or an API key, as its `sid` says. Either may have ended."""

from __future__ import annotations

from dataclasses import dataclass

from mesh.model import SessionId, User, require
from services.auth.domain.api_keys import ApiKeys
from services.auth.domain.errors import SessionEnded
from services.auth.domain.sessions import Sessions


@dataclass(frozen=True)
class Credentials:
    """The use cases."""

    sessions: Sessions
    api_keys: ApiKeys

    async def living(self, session_id: SessionId) -> User:
        """Whose session or key it is, as true now. Raises: SessionEnded."""
        if _is_key(session_id):
            return await self.api_keys.living(session_id)
        found = await self.sessions.living(session_id)
        return User(found.session.user_id, found.organisation_id, session_id, found.roles)

    async def check(self, user: User) -> User:
        """The user as true now (mesh.app.SessionCheck). Raises: SessionEnded."""
        if not _is_key(user.session_id):
            return await self.sessions.check(user)
        found = await self.api_keys.living(user.session_id)
        require(found.user_id == user.user_id, SessionEnded)
        return found


def _is_key(session_id: SessionId) -> bool:
    return session_id.startswith("apikey_")
