"""What the use cases need of the world."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from datetime import datetime
from typing import Protocol

from mesh.model import OrganisationId, SessionId, User, UserId
from services.auth.domain.devices import Arrival
from services.auth.domain.entities import (
    Account,
    AccountCreated,
    Mail,
    MailRequested,
    RolesChanged,
    Session,
    SignedIn,
)


class Store(Protocol):
    """Where everything is kept; tests/contract/auth says what each method promises."""

    async def sign_up(self, mail: Mail, expires: datetime, event: MailRequested) -> None:
        """Keep a sign-up under the mail's id; if the address has an account, only that the mail says so."""

    async def signed_up(self, mail_id: str, now: datetime) -> str | None:
        """The address of a sign-up that waits."""

    async def open_account(self, mail_id: str, account: Account, now: datetime, event: AccountCreated) -> bool:
        """Use the sign-up to make its account; False if it was used or the address has an account."""

    async def request_reset(self, mail: Mail, expires: datetime, event: MailRequested) -> None:
        """Keep a reset under the mail's id; if the address has no account, the mail goes to nobody."""

    async def reset_account(self, mail_id: str, now: datetime) -> Account | None:
        """The account of a reset that has not been used."""

    async def reset_password(
        self, mail_id: str, old: Account, new: Account, now: datetime, notice: Mail, event: MailRequested
    ) -> bool:
        """Use the reset: set the password and end all sessions and API keys of its account.

        False, and nothing used, if the reset is gone or the second factor is not as in `old`.
        """

    async def mail(self, mail_id: str) -> Mail | None:
        """A mail to be sent."""

    async def account(self, user_id: UserId) -> Account | None:
        """An account."""

    async def account_of(self, email: str) -> Account | None:
        """The account of an address."""

    async def set_password(
        self, old: Account, new: Account, keep: SessionId, notice: Mail, event: MailRequested
    ) -> bool:
        """Set the password, end all sessions but `keep` and take back resets.

        False if password or second factor are not as in `old`.
        """

    async def rehash(self, user_id: UserId, old: str, new: str) -> None:
        """Replace a hash by a stronger one of the same password, unless the password was changed meanwhile."""

    async def put_challenge(self, challenge: bytes, account: Account, device: str, expires: datetime) -> bool:
        """Keep the hash of a challenge; False if password or second factor are not as in `account` any more."""

    async def challenged(self, challenge: bytes, now: datetime) -> tuple[Account, str] | None:
        """The account and device of a challenge that is still open."""

    async def close_challenge(self, challenge: bytes) -> bool:
        """Use the challenge up; whether it was still there."""

    async def put_session(
        self, session: Session, account: Account, token_hash: bytes, most: int, arrival: Arrival
    ) -> bool:
        """Keep a new session, and end the oldest of its user's that would be more than `most`.

        Its device is remembered; if the account is known on others only, the notice goes out.
        False if password or second factor are not as in `account` any more: a change ends all sessions, and
        one that was about to begin is among them.
        """

    async def rotate(
        self, session_id: SessionId, old: bytes, new: bytes, now: datetime, idle_since: datetime
    ) -> SignedIn | None:
        """Replace the token's hash if it is `old` and the session lives.

        A session in an organisation that its user is no longer in goes on in the personal one, for good.
        """

    async def repeat(
        self, session_id: SessionId, previous: bytes, rotated_since: datetime, now: datetime
    ) -> SignedIn | None:
        """The session if `previous` was replaced since then and its successor has not been used."""

    async def sessions(self, user_id: UserId, now: datetime, idle_since: datetime, limit: int) -> Sequence[Session]:
        """The living sessions, newest first."""

    async def living(
        self, session_id: SessionId, now: datetime, idle_since: datetime, organisation_id: OrganisationId | None = None
    ) -> SignedIn | None:
        """A session that still lives, with the roles held now in the organisation, or the session's own for None.

        Whoever is not in it has those in their personal one instead, and is said to be there.
        """

    async def switch(self, session_id: SessionId, user_id: UserId, organisation_id: OrganisationId) -> SignedIn | None:
        """Let that user's session go on in another organisation; None if they are not in it or the session is gone."""

    async def end_session(self, session_id: SessionId, user_id: UserId | None = None) -> bool:
        """End a session (of that user); whether there was one."""

    async def end_sessions(self, user_id: UserId) -> int:
        """End all; how many there were."""

    async def put_totp(self, user_id: UserId, seed: bytes) -> bool:
        """Keep a seed that does not count yet; False if a second factor is on."""

    async def use_step(self, user_id: UserId, step: int) -> bool:
        """Use a code's step; False if it or a later one was used before."""

    async def confirm_totp(self, account: Account, codes: Sequence[bytes], notice: Mail, event: MailRequested) -> bool:
        """Switch the second factor on with its recovery codes; False if it was on or the seed is another."""

    async def drop_totp(self, account: Account, notice: Mail, event: MailRequested) -> bool:
        """Switch the second factor off and forget its codes; False if it was off or the password is another."""

    async def replace_codes(self, account: Account, codes: Sequence[bytes], notice: Mail, event: MailRequested) -> bool:
        """Replace all recovery codes; False if the second factor is another."""

    async def use_code(self, user_id: UserId, code: bytes) -> bool:
        """Use a recovery code; False if it is unknown or was used."""

    async def set_roles(self, account: Account, roles: frozenset[str], event: RolesChanged) -> bool:
        """Replace the roles of that version of the account; False if it has changed or nobody would administer."""

    async def administrators(self) -> int:
        """How many there are."""


class Hasher(Protocol):
    """argon2id off the loop. Raises: Exhausted when too many wait."""

    def hash(self, password: str) -> Awaitable[str]:
        """A new hash."""

    def verify(self, stored: str | None, password: str) -> Awaitable[bool]:
        """Whether it is the password; None takes as long and is False."""

    def outdated(self, stored: str) -> bool:
        """Whether the hash is weaker than new ones."""


class Throttle(Protocol):
    """Counts failed attempts."""

    async def begin(self, account: str, address: str) -> None:
        """Count one attempt before it is judged. Raises: TooManyAttempts."""

    async def unjudged(self, account: str, address: str) -> None:
        """Take back an attempt that nobody could judge."""

    async def succeeded(self, account: str, address: str) -> None:
        """Forget the attempts; the address is known from now on."""


class Box(Protocol):
    """Encrypts what must be read again."""

    def seal(self, plain: bytes, purpose: str) -> bytes:
        """Encrypt."""

    def open(self, sealed: bytes, purpose: str) -> bytes:
        """Decrypt. Raises: ValueError if it was changed."""


class Signer(Protocol):
    """Signs access tokens."""

    async def access_token(self, signed_in: SignedIn) -> tuple[str, int]:
        """The token and its life in seconds."""

    async def key_token(self, user: User) -> tuple[str, int]:
        """The same for a user whom an API key acts for: with its scopes."""
