"""The leaf that any layer may import: errors, ids, the caller. Standard library only."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar, NewType, Self

UserId = NewType("UserId", str)
OrganisationId = NewType("OrganisationId", str)
SessionId = NewType("SessionId", str)
EventId = NewType("EventId", str)

ADMINISTRATOR = "administrator"
PLATFORM_ROLES = frozenset({ADMINISTRATOR})
"""What the platform itself has given to somebody: no API key has it."""


@dataclass(frozen=True, slots=True)
class Violation:
    """One field of a request that breaks a rule; `field` is its path in the request (AIP-193)."""

    field: str
    description: str


class Error(Exception):
    """Something that a caller is told. Subclass one of the classes below.

    The docstring of a concrete class is its message; its name gives the reason: `StaleProfile`
    becomes `STALE_PROFILE`. `metadata` goes to the caller too and must hold no secrets.
    """

    reason: str = "ERROR"
    domain: str = ""
    """The service that said so, `auth.tulle`; empty for an error of our own."""

    def __init_subclass__(cls) -> None:
        cls.reason = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", cls.__name__).upper()

    def __init__(
        self,
        message: str = "",
        *,
        violations: tuple[Violation, ...] = (),
        retry_after: float | None = None,
        **metadata: str,
    ) -> None:
        super().__init__(message or " ".join((type(self).__doc__ or self.reason).split()))
        self.violations = violations
        self.retry_after = retry_after
        self.metadata = metadata


class NotFound(Error):
    """There is no such thing, or you may not know of it."""


class AlreadyExists(Error):
    """There is one already."""


class Invalid(Error):
    """The request breaks a rule of its contract."""


class Unauthenticated(Error):
    """The call needs a valid credential."""


class Denied(Error):
    """You may not do this."""


class FailedPrecondition(Error):
    """The system is not in the state that this needs."""


class Conflict(Error):
    """Somebody else was faster; read again and retry."""


class Exhausted(Error):
    """Too much was asked for; slow down."""


class DeadlineExceeded(Error):
    """The time for this call ran out."""


class Unavailable(Error):
    """Not available now; try again."""


def require(condition: object, error: type[Error]) -> None:
    """Raise `error` unless `condition` holds."""
    if not condition:
        raise error


@dataclass(frozen=True, slots=True)
class User:
    """The end user of a call, as the access token says (or auth, for methods marked fresh).

    `session_id`: that of their API key if a key of theirs calls. `scopes`: what that may do; None for a person.
    """

    user_id: UserId
    organisation_id: OrganisationId
    session_id: SessionId
    roles: frozenset[str] = frozenset()
    scopes: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls: the workload that made the call and the end user it acts for, if any."""

    workload: str
    user: User | None = None
    request_id: str = ""
    traceparent: str = ""
    address: str = ""

    @property
    def signed_in(self) -> User:
        """The end user. Raises: Unauthenticated if there is none."""
        if self.user is None:
            raise Unauthenticated
        return self.user

    @property
    def principal(self) -> str:
        """Whom limits, idempotency and audit count: the user, else the workload."""
        return self.user.user_id if self.user else f"workload:{self.workload}"


_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


def new_id(prefix: str, at: float | None = None) -> str:
    """A new TypeID: `prefix`, `_` and a UUIDv7 (RFC 9562) in Crockford base 32, ordered by time.

    `at`: Unix time in seconds, now if None.
    """
    milliseconds = int((time.time() if at is None else at) * 1000) & (2**48 - 1)
    random = int.from_bytes(os.urandom(10), "big")
    number = milliseconds << 80 | 0x7 << 76 | (random >> 68 & 0xFFF) << 64 | 0b10 << 62 | random & (2**62 - 1)
    return f"{prefix}_" + "".join(_ALPHABET[number >> shift & 31] for shift in range(125, -1, -5))


@dataclass(frozen=True, slots=True)
class Event:
    """What happened to one aggregate, before it is put into its envelope.

    Domains subclass it with the event's own fields, named as in its protobuf message; `type` is
    the message's full name, `resource` what kind of thing the aggregate is.
    """

    type: ClassVar[str]
    resource: ClassVar[str]

    aggregate_id: str
    organisation_id: OrganisationId
    actor: str
    causation_id: str = ""
    traceparent: str = ""

    @classmethod
    def by(cls, caller: Caller, aggregate_id: str, organisation_id: OrganisationId, **fields: object) -> Self:
        """An event caused by `caller`."""
        return cls(
            aggregate_id=aggregate_id,
            organisation_id=organisation_id,
            actor=caller.principal,
            causation_id=caller.request_id,
            traceparent=caller.traceparent,
            **fields,
        )


EMPTY: Mapping[str, str] = MappingProxyType({})

__all__ = [name for name in dir() if not name.startswith("_") and name not in {"annotations", "os", "re", "time"}]
