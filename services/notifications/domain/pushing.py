"""Deliveries by push: judged like a mail, then handed to all browsers of a person, each of which has its own fate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from mesh.model import Unavailable, UserId
from services.notifications.domain.deliveries import Delivery, Outcome, Reason, State, Unclear
from services.notifications.domain.judging import Judging
from services.notifications.domain.kinds import kind_of

INBOX_NUMBER = "inbox_number"
"""The variable that says where in the inbox the same is told."""


@dataclass(frozen=True, slots=True)
class Reader:
    """Where somebody is and what they read, as their profile says."""

    zone: str = ""
    locale: str = ""


class Readers(Protocol):
    """Who people are."""

    async def reader(self, user_id: UserId) -> Reader:
        """Raises: Unavailable."""


class Browsers(Protocol):
    """Whoever takes pushes for people."""

    async def tell(self, user_id: UserId, kind: str, variables: Mapping[str, str], number: int, locale: str) -> int:
        """A push to each browser of a person; how many there are."""


@dataclass(frozen=True)
class Pushing:
    """What comes of a delivery by push."""

    judging: Judging
    readers: Readers
    browsers: Browsers

    async def attempted(self, delivery: Delivery) -> Outcome:
        """Held back, handed over, or to nobody: they have no browser.

        Raises: Unavailable; Unclear if it was lost whether they were handed over.
        """
        reader = await self.readers.reader(delivery.user_id)
        if held := await self.judging.verdict(delivery, kind_of(delivery.kind), reader.zone):
            return held
        variables = {name: value for name, value in delivery.variables.items() if name != INBOX_NUMBER}
        number = int(delivery.variables.get(INBOX_NUMBER, 0))
        try:
            told = await self.browsers.tell(delivery.user_id, delivery.kind, variables, number, reader.locale)
        except Unavailable as error:
            raise Unclear from error
        return Outcome(State.SENT) if told else Outcome(State.WITHHELD, Reason.NOBODY)
