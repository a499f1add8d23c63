"""What an access token stands on: a session or an API key, as its `sid` says. Either may have ended."""

from __future__ import annotations

from dataclasses import dataclass

from mesh.model import OrganisationId, SessionId, User, require
from services.auth.domain.api_keys import ApiKeys
from services.auth.domain.errors import MembershipEnded, SessionEnded
from services.auth.domain.sessions import Sessions


@dataclass(frozen=True)
class Credentials:
    """The use cases."""

    sessions: Sessions
    api_keys: ApiKeys

    async def living(self, session_id: SessionId, organisation_id: OrganisationId | None = None) -> User:
        """Whose session or key it is, as true now in an organisation; a key is for one.

        Raises: SessionEnded; MembershipEnded.
        """
        if _is_key(session_id):
            found = await self.api_keys.living(session_id)
            require(organisation_id in (None, found.organisation_id), MembershipEnded)
            return found
        signed_in = await self.sessions.living(session_id, organisation_id)
        return User(signed_in.session.user_id, signed_in.organisation_id, session_id, signed_in.roles)

    async def check(self, user: User) -> User:
        """The user as true now (mesh.app.SessionCheck). Raises: SessionEnded; MembershipEnded."""
        if not _is_key(user.session_id):
            return await self.sessions.check(user)
        found = await self.living(user.session_id, user.organisation_id)
        require(found.user_id == user.user_id, SessionEnded)
        return found


def _is_key(session_id: SessionId) -> bool:
    return session_id.startswith("apikey_")
