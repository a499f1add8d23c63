"""Logging in, staying logged in, logging out."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from mesh.model import Caller, Conflict, OrganisationId, SessionId, User, UserId, new_id, require
from services.auth.domain.authentication import Authentication
from services.auth.domain.devices import Devices
from services.auth.domain.entities import (
    CHALLENGE_WITHIN,
    MOST_SESSIONS,
    REFRESH_GRACE,
    SESSION_IDLE,
    SESSION_LIFE,
    Account,
    Issued,
    Session,
    SignedIn,
)
from services.auth.domain.errors import (
    BadChallenge,
    BadRefreshToken,
    MembershipEnded,
    OrganisationNotFound,
    RefreshTokenReused,
    SessionEnded,
    SessionNotFound,
)
from services.auth.domain.membership import OWNER
from services.auth.domain.ports import Signer, Store
from services.auth.domain.refresh import RefreshToken


@dataclass(frozen=True)
class Sessions:
    """The use cases. `key`: makes and seals refresh tokens."""

    store: Store
    authentication: Authentication
    devices: Devices
    signer: Signer
    key: bytes
    now: Callable[[], datetime]

    async def log_in(self, caller: Caller, email: str, password: str, device: str) -> Issued | str:
        """Tokens, or the challenge that a second factor must answer.

        Raises: BadCredentials; TooManyAttempts; Conflict if the password was changed meanwhile.
        """
        account = await self.authentication.by_password(caller, email, password)
        if not account.second_factor:
            return await self.begin(caller, account, device)
        challenge = secrets.token_urlsafe(32)
        expires = self.now() + CHALLENGE_WITHIN
        require(await self.store.put_challenge(_hash(challenge), account, device, expires), Conflict)
        return challenge

    async def complete(self, caller: Caller, challenge: str, code: str) -> Issued:
        """Answer a challenge with a code of the device or a recovery code.

        Raises: BadChallenge; BadCode; TooManyAttempts; Conflict if the password was changed meanwhile.
        """
        found = await self.store.challenged(_hash(challenge), self.now())
        if found is None:
            raise BadChallenge
        account, device = found
        await self.authentication.by_code(caller, account, code)
        require(await self.store.close_challenge(_hash(challenge)), BadChallenge)
        return await self.begin(caller, account, device)

    async def refresh(self, text: str) -> Issued:
        """New tokens for a refresh token.

        Asked again within REFRESH_GRACE, the same successor; any other reuse ends the session.
        Raises: BadRefreshToken; RefreshTokenReused.
        """
        token, now = RefreshToken.opened(text, self.key), self.now()
        successor = token.successor(self.key)
        signed_in = await self.store.rotate(token.session_id, token.hash, successor.hash, now, now - SESSION_IDLE)
        if signed_in is None:
            signed_in = await self.store.repeat(token.session_id, token.hash, now - REFRESH_GRACE, now)
        if signed_in is None:
            require(not await self._reused(token), RefreshTokenReused)
            raise BadRefreshToken
        return await self._issued(signed_in, successor)

    async def _reused(self, token: RefreshToken) -> bool:
        """Whether the session still lived, which then ends: the token was ours and is spent."""
        now = self.now()
        living = await self.store.living(token.session_id, now, now - SESSION_IDLE)
        return living is not None and await self.store.end_session(token.session_id)

    async def log_out(self, caller: Caller) -> None:
        """End the session of the access token; ended already, nothing happens."""
        await self.store.end_session(caller.signed_in.session_id)

    async def list_sessions(self, caller: Caller) -> Sequence[Session]:
        """Your living sessions, newest first, at most MOST_SESSIONS."""
        now = self.now()
        return await self.store.sessions(caller.signed_in.user_id, now, now - SESSION_IDLE, MOST_SESSIONS)

    async def revoke(self, caller: Caller, session_id: SessionId) -> None:
        """End one of your sessions. Raises: SessionNotFound."""
        require(await self.store.end_session(session_id, caller.signed_in.user_id), SessionNotFound)

    async def revoke_all(self, caller: Caller) -> int:
        """End all your sessions; how many there were."""
        return await self.store.end_sessions(caller.signed_in.user_id)

    async def switch(self, caller: Caller, organisation_id: OrganisationId) -> tuple[str, int]:
        """A token for another organisation of the caller's, in which the session goes on; and its life in seconds.

        Raises: OrganisationNotFound if they are not in it.
        """
        user = caller.signed_in
        switched = await self.store.switch(user.session_id, user.user_id, organisation_id)
        if switched is None:
            raise OrganisationNotFound
        return await self.signer.access_token(switched)

    async def living(self, session_id: SessionId, organisation_id: OrganisationId | None = None) -> SignedIn:
        """The session with the roles held now in an organisation, None for the session's own.

        Raises: SessionEnded; MembershipEnded.
        """
        now = self.now()
        found = await self.store.living(session_id, now, now - SESSION_IDLE, organisation_id)
        if found is None:
            raise SessionEnded
        require(organisation_id in (None, found.organisation_id), MembershipEnded)
        return found

    async def check(self, user: User) -> User:
        """The user as true now (mesh.app.SessionCheck). Raises: SessionEnded; MembershipEnded."""
        found = await self.living(user.session_id, user.organisation_id)
        require(found.session.user_id == user.user_id, SessionEnded)
        return User(user.user_id, found.organisation_id, user.session_id, found.roles, user.scopes)

    async def begin(self, caller: Caller, account: Account, device: str) -> Issued:
        """A new session of somebody who has shown everything that opens the account.

        The owner is told if the device is a new one. Raises: Conflict.
        """
        now = self.now()
        session = Session(
            session_id=SessionId(new_id("session", now.timestamp())),
            user_id=account.user_id,
            device=device,
            create_time=now,
            refresh_time=now,
            expire_time=now + SESSION_LIFE,
        )
        token = RefreshToken.first(session.session_id)
        arrival = self.devices.arrival(caller, account, device, now)
        require(await self.store.put_session(session, account, token.hash, MOST_SESSIONS, arrival), Conflict)
        own = SignedIn(session=session, organisation_id=account.organisation_id, roles=account.roles | {OWNER})
        return await self._issued(own, token)

    async def _issued(self, signed_in: SignedIn, token: RefreshToken) -> Issued:
        access_token, life = await self.signer.access_token(signed_in)
        return Issued(
            access_token=access_token,
            expires_in=life,
            refresh_token=token.sealed(self.key),
            user_id=UserId(signed_in.session.user_id),
            session_id=signed_in.session.session_id,
            organisation_id=signed_in.organisation_id,
        )


def _hash(challenge: str) -> bytes:
    return hashlib.sha256(challenge.encode()).digest()
