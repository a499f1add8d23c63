"""Sending: each delivery is attempted until something has come of it."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from mesh.model import Error, NotFound
from services.notifications.domain.deliveries import (
    Addressee,
    BrokenTemplate,
    Delivery,
    Directory,
    Letters,
    Outcome,
    Post,
    Reason,
    Refused,
    State,
    Store,
    Unclear,
)
from services.notifications.domain.kinds import KINDS, Kind
from services.notifications.limits import (
    DELIVERY_LEASE,
    DELIVERY_PAUSE_LONGEST,
    DELIVERY_TRIED,
    MAILS_TO_ADDRESS,
    MAILS_TO_ADDRESS_WINDOW,
)

SENT = Outcome(State.SENT)


@dataclass(frozen=True)
class Sending:
    """The use case. `key`: by which addresses are told apart without being kept."""

    store: Store
    directory: Directory
    letters: Letters
    post: Post
    key: bytes
    now: Callable[[], datetime]

    async def send_next(self) -> bool:
        """Attempt the delivery that is due; whether there was one. Raises: Unavailable if the store is away."""
        now = self.now()
        delivery = await self.store.claim(now, now + timedelta(seconds=DELIVERY_LEASE))
        if delivery is None:
            return False
        await self.store.settle(delivery.delivery_id, await self._attempted(delivery), self.now())
        return True

    async def sweep(self) -> int:
        """Give up what must not be repeated and whose sender died; how many. Raises: Unavailable."""
        return await self.store.sweep(self.now())

    async def _attempted(self, delivery: Delivery) -> Outcome:
        try:
            addressee = await self.directory.addressee(delivery)
            return await self._to(addressee, delivery) if addressee else Outcome(State.WITHHELD, Reason.NOBODY)
        except Unclear:
            return self._later(delivery, Reason.UNCLEAR) if delivery.repeatable else Outcome(State.LOST, Reason.UNCLEAR)
        except Refused:
            return Outcome(State.FAILED, Reason.UNDELIVERABLE)
        except BrokenTemplate:
            return Outcome(State.FAILED, Reason.BROKEN_TEMPLATE)
        except NotFound:
            return Outcome(State.WITHHELD, Reason.NOBODY)
        except Error:
            return self._later(delivery, Reason.UNAVAILABLE)

    async def _to(self, addressee: Addressee, delivery: Delivery) -> Outcome:
        if (kind := KINDS.get(addressee.kind)) is None:
            return Outcome(State.FAILED, Reason.UNKNOWN_KIND)
        letter = self.letters.written(kind.name, addressee.locale, addressee.variables)
        if await self._crowded(kind, addressee, delivery):
            return Outcome(State.WITHHELD, Reason.THROTTLED)
        await self.post.send(letter, addressee, delivery.message_id)
        return SENT

    async def _crowded(self, kind: Kind, addressee: Addressee, delivery: Delivery) -> bool:
        """Nobody's box is flooded by what strangers ask for."""
        since = self.now() - timedelta(seconds=MAILS_TO_ADDRESS_WINDOW)
        recipient = hmac.new(self.key, addressee.email.strip().casefold().encode(), hashlib.sha256).hexdigest()[:32]
        others = await self.store.crowd(delivery.delivery_id, kind.name, addressee.user_id, recipient, since)
        return kind.asked_by_anybody and others >= MAILS_TO_ADDRESS

    def _later(self, delivery: Delivery, reason: Reason) -> Outcome:
        """Again after a pause that grows, or not at all once it is too old to be of use."""
        now = self.now()
        if now - delivery.create_time > timedelta(seconds=DELIVERY_TRIED):
            return Outcome(State.FAILED, reason)
        pause = min(DELIVERY_PAUSE_LONGEST, 2.0 ** min(delivery.attempts - 1, 20))
        return Outcome(State.WAITING, reason, now + timedelta(seconds=pause))
