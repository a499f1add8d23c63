"""What auth keeps, and the events that tell of it."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import ClassVar, Self

from mesh.model import EMPTY, Caller, Event, OrganisationId, SessionId, UserId

VERIFY_WITHIN = timedelta(hours=24)
"""A day to find the mail."""
RESET_WITHIN = timedelta(minutes=30)
CHALLENGE_WITHIN = timedelta(minutes=5)
SESSION_LIFE = timedelta(days=30)
"""After that a person logs in again, whatever happens."""
SESSION_IDLE = timedelta(days=14)
"""A session that is not refreshed for so long has ended."""
REFRESH_GRACE = timedelta(seconds=30)
"""In which a lost answer may be asked for again."""
MOST_SESSIONS = 100
"""Of one account; the next log-in ends the oldest."""


def email_key(email: str) -> str:
    """How addresses are compared: without regard to case, which no provider of today tells apart."""
    return email.strip().casefold()


class MailKind(enum.StrEnum):
    """Why a mail goes out; `NOBODY`: it does not, but whoever asked shall not know."""

    VERIFY = "verify"
    ALREADY_REGISTERED = "already_registered"
    RESET = "reset"
    PASSWORD_CHANGED = "password_changed"  # noqa: S105 (a name)
    TOTP_ENABLED = "totp_enabled"
    TOTP_DISABLED = "totp_disabled"
    RECOVERY_CODES_REPLACED = "recovery_codes_replaced"
    PASSKEY_ADDED = "passkey_added"
    PASSKEY_REMOVED = "passkey_removed"
    API_KEY_CREATED = "api_key_created"
    API_KEY_ROTATED = "api_key_rotated"
    NEW_DEVICE = "new_device"
    INVITATION = "invitation"
    NOBODY = "nobody"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """A mail to be sent: everything that its text needs. `details`: what only texts of its kind do."""

    mail_id: str
    kind: MailKind
    email: str
    create_time: datetime
    details: Mapping[str, str] = field(default_factory=lambda: EMPTY)


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A person's account. `password_length` in characters; `totp_step` is that of the last code used."""

    user_id: UserId
    organisation_id: OrganisationId
    email: str
    password_hash: str
    password_length: int
    roles: frozenset[str] = frozenset()
    totp_seed: bytes | None = None
    totp_confirmed: bool = False
    totp_step: int = 0
    version: int = 1
    create_time: datetime

    @property
    def second_factor(self) -> bool:
        """Whether a code is needed to log in."""
        return self.totp_confirmed


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A place where somebody is logged in."""

    session_id: SessionId
    user_id: UserId
    device: str
    create_time: datetime
    refresh_time: datetime
    expire_time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedIn:
    """A session with its account and an organisation: what new tokens say.

    `roles`: the platform's that the person holds, and the one in that organisation.
    """

    session: Session
    organisation_id: OrganisationId
    roles: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """What a client holds after log-in or refresh."""

    access_token: str
    expires_in: int
    refresh_token: str
    user_id: UserId
    session_id: SessionId
    organisation_id: OrganisationId


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountCreated(Event):
    """An address was verified and its account opened."""

    type: ClassVar[str] = "tulle.auth.v1.AccountCreated"
    resource: ClassVar[str] = "account"
    user_id: UserId

    @classmethod
    def of(cls, caller: Caller, account: Account) -> Self:
        """The event of a new account."""
        return cls.by(caller, account.user_id, account.organisation_id, user_id=account.user_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class RolesChanged(Event):
    """An account was given or lost roles."""

    type: ClassVar[str] = "tulle.auth.v1.RolesChanged"
    resource: ClassVar[str] = "account"
    user_id: UserId
    roles: tuple[str, ...]

    @classmethod
    def of(cls, caller: Caller, account: Account, roles: frozenset[str]) -> Self:
        """The event of new roles."""
        changed = tuple(sorted(roles))
        return cls.by(caller, account.user_id, account.organisation_id, user_id=account.user_id, roles=changed)


@dataclass(frozen=True, slots=True, kw_only=True)
class MailRequested(Event):
    """A mail must go out."""

    type: ClassVar[str] = "tulle.auth.v1.MailRequested"
    resource: ClassVar[str] = "mail"
    mail_id: str

    @classmethod
    def of(cls, caller: Caller, mail: Mail) -> Self:
        """The event of a mail; mails belong to no organisation, since some go to strangers."""
        return cls.by(caller, mail.mail_id, OrganisationId(""), mail_id=mail.mail_id)
