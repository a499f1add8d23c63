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
    PREFERENCE_OFF = "PREFERENCE_OFF"
    QUIET = "QUIET"
    DIGEST = "DIGEST"
    THROTTLED = "THROTTLED"
    SUPPRESSED = "SUPPRESSED"
    NOBODY = "NOBODY"
    UNDELIVERABLE = "UNDELIVERABLE"
    REFUSED = "REFUSED"
    UNKNOWN_KIND = "UNKNOWN_KIND"
    BROKEN_TEMPLATE = "BROKEN_TEMPLATE"
    UNAVAILABLE = "UNAVAILABLE"
    UNCLEAR = "UNCLEAR"
    INTERNAL = "INTERNAL"


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided about a delivery at some time, and until when."""

    time: datetime
    state: State
    reason: Reason
    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """`mail_id`: the mail of auth that it is, if it is one; `repeatable`: it may go out twice, but must go out.

    `held_until`: until when it was decided to wait. `digest_id`: the delivery in which it goes out with others.
    `repeats`: how often its event came again, to no effect.
    """

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
    held_until: datetime | None = None
    digest_id: str | None = None
    repeats: int = 0
    history: tuple[Decision, ...] = ()

    @property
    def message_id(self) -> str:
        """Names it to mail programs, however often it goes out."""
        return self.mail_id or self.delivery_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Addressee:
    """Who gets it, as their owners say it now: nothing of this is kept. `variables` go into the text.

    `create_time`: the date of the mail, the same however often it is tried.
    """

    email: str
    kind: str
    user_id: UserId = NOBODY
    locale: str = ""
    zone: str = ""
    create_time: datetime
    variables: Mapping[str, str] = field(default_factory=lambda: EMPTY)


@dataclass(frozen=True, slots=True)
class Letter:
    """What a person reads."""

    subject: str
    text: str
    html: str
    unsubscribe: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an attempt has come to; with WAITING it is tried again at `not_before`, `digest` says in which kind of."""

    state: State
    reason: Reason = Reason.NONE
    not_before: datetime | None = None
    digest: str = ""

    @property
    def held_until(self) -> datetime | None:
        """Until when it waits because that was decided, not because it could not go out."""
        return self.not_before if self.reason in _HOLDING else None


_HOLDING = {Reason.QUIET, Reason.DIGEST, Reason.THROTTLED}


class Refused(Exception):
    """The mail server will not take this mail, now or later."""


class Undeliverable(Refused):
    """It will take none for this address."""


class Unclear(Exception):
    """The connection was lost when what was sent may have been taken."""


class BrokenTemplate(Exception):
    """The text needs something that is not there."""


class Store(Protocol):
    """Where deliveries are kept. tests/contract/notifications says what each method promises."""

    async def add(self, delivery: Delivery) -> bool:
        """Keep a delivery; if its event has one of this channel and person already, note that it came again.

        Whether it is the first.
        """

    async def claim(self, now: datetime, until: datetime) -> Delivery | None:
        """Take what is due, longest waiting first, for oneself until then.

        A repeatable one whose sender has not come back by its time is due again.
        """

    async def crowd(self, delivery_id: str, kind: str, user_id: UserId, recipient: str, since: datetime) -> int:
        """Note whom a delivery goes to; how many others of its kind went to the same since then, or are going."""

    async def settle(self, delivery: Delivery, outcome: Outcome, now: datetime) -> None:
        """Keep what has come of a delivery, as it was added or claimed, and with it of all that it collects.

        With a repeatable one that is SENT its address is noted to take mail: others never go to one that is suppressed.
        If something has come of that already, or another has claimed it since, nothing is kept.
        """

    async def collect(self, delivery: Delivery, outcome: Outcome, digest: Delivery, now: datetime) -> None:
        """Settle a delivery so that it goes out in a digest, which is kept unless there is one of its event already.

        Nothing is kept when `settle` would keep nothing.
        If that one is on its way, this one is due when it was: it will be judged again.
        """

    async def collected(self, digest_id: str) -> Sequence[Delivery]:
        """What goes out in a digest, oldest first."""

    async def told(self, delivery: Delivery, kinds: Sequence[str], since: datetime) -> int:
        """How many others of these kinds went the same way to the same person since then, or are going.

        A digest is one.
        """

    async def suppress(self, recipient: str, now: datetime) -> None:
        """Note that an address takes no mail; it stays noted until a repeatable delivery is sent there."""

    async def suppressed(self, recipient: str) -> bool:
        """Whether it is noted."""

    async def sweep(self, now: datetime) -> int:
        """Give up as LOST, with what it collects, what must not be repeated and whose sender is gone; how many."""

    async def list_deliveries(self, user_id: str, event_id: str, kind: str, size: int) -> Sequence[Delivery]:
        """The newest, of one person, event or kind where it is given."""


class Directory(Protocol):
    """Who people are and how they are reached."""

    async def addressee(self, delivery: Delivery) -> Addressee | None:
        """To whom it goes, or None if there is nobody. Raises: Unavailable."""


class Letters(Protocol):
    """The texts."""

    def written(self, kind: str, locale: str, variables: Mapping[str, str], unsubscribe: str = "") -> Letter:
        """The letter in the best language there is, with the link that ends such ones. Raises: BrokenTemplate."""


class Post(Protocol):
    """The way out."""

    async def send(self, letter: Letter, addressee: Addressee, message_id: str) -> None:
        """Hand it over. Raises: Unavailable if nobody has taken it; Refused; Unclear."""
