"""Deliveries: one thing that somebody is to be told, by one way, and what has come of it."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from mesh.model import EMPTY, UserId

NOBODY = UserId("")
"""An address without an account."""


class State(enum.StrEnum):
    """What has come of a delivery. LOST: nobody knows whether it went out, and it must not go out twice."""

    WAITING = "waiting"
    SENDING = "sending"
    SENT = "sent"
    WITHHELD = "withheld"
    FAILED = "failed"
    LOST = "lost"


class Reason(enum.StrEnum):
    """Why a delivery did not simply go out."""

    NONE = ""
    THROTTLED = "THROTTLED"
    NOBODY = "NOBODY"
    UNDELIVERABLE = "UNDELIVERABLE"
    UNKNOWN_KIND = "UNKNOWN_KIND"
    BROKEN_TEMPLATE = "BROKEN_TEMPLATE"
    UNAVAILABLE = "UNAVAILABLE"
    UNCLEAR = "UNCLEAR"


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """`mail_id`: the mail of auth that it is, if it is one; `repeatable`: it may go out twice, but must go out."""

    delivery_id: str
    event_id: str
    channel: str = "mail"
    kind: str = ""
    user_id: UserId = NOBODY
    mail_id: str = ""
    variables: Mapping[str, str] = field(default_factory=lambda: EMPTY)
    repeatable: bool
    state: State = State.WAITING
    reason: Reason = Reason.NONE
    attempts: int = 0
    create_time: datetime
    not_before: datetime
    done_time: datetime | None = None

    @property
    def message_id(self) -> str:
        """Names it to mail programs, however often it goes out."""
        return self.mail_id or self.delivery_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Addressee:
    """Who gets it, as their owners say it now: nothing of this is kept. `variables` go into the text."""

    email: str
    kind: str
    user_id: UserId = NOBODY
    locale: str = ""
    create_time: datetime
    variables: Mapping[str, str] = field(default_factory=lambda: EMPTY)


@dataclass(frozen=True, slots=True)
class Letter:
    """What a person reads."""

    subject: str
    text: str
    html: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an attempt has come to; with WAITING it is tried again at `not_before`."""

    state: State
    reason: Reason = Reason.NONE
    not_before: datetime | None = None


class Refused(Exception):
    """The mail server will not take this mail for this address, now or later."""


class Unclear(Exception):
    """The connection was lost when the mail may have been taken."""


class BrokenTemplate(Exception):
    """The text needs something that is not there."""


class Store(Protocol):
    """Where deliveries are kept. tests/contract/notifications says what each method promises."""

    async def add(self, delivery: Delivery) -> None:
        """Keep a delivery, unless its event has one of this kind, channel and person already."""

    async def claim(self, now: datetime, until: datetime) -> Delivery | None:
        """Take what is due, longest waiting first, for oneself until then.

        A repeatable one whose sender has not come back by its time is due again.
        """

    async def crowd(self, delivery_id: str, kind: str, user_id: UserId, recipient: str, since: datetime) -> int:
        """Note whom a delivery goes to; how many others of its kind went to the same since then, or are going."""

    async def settle(self, delivery_id: str, outcome: Outcome, now: datetime) -> None:
        """Keep what an attempt has come to."""

    async def sweep(self, now: datetime) -> int:
        """Give up as LOST what must not be repeated and whose sender has not come back; how many."""

    async def list_deliveries(self, user_id: str, event_id: str, kind: str, size: int) -> Sequence[Delivery]:
        """The newest, of one person, event or kind where it is given."""


class Directory(Protocol):
    """Who people are and how they are reached."""

    async def addressee(self, delivery: Delivery) -> Addressee | None:
        """To whom it goes, or None if there is nobody. Raises: Unavailable."""


class Letters(Protocol):
    """The texts."""

    def written(self, kind: str, locale: str, variables: Mapping[str, str]) -> Letter:
        """The letter in the best language there is. Raises: BrokenTemplate."""


class Post(Protocol):
    """The way out."""

    async def send(self, letter: Letter, addressee: Addressee, message_id: str) -> None:
        """Hand it over. Raises: Unavailable if nobody has taken it; Refused; Unclear."""
