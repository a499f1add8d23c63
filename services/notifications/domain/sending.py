"""Sending: each delivery is attempted until something has come of it."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from mesh.model import Error, NotFound, new_id
from services.notifications.domain.deliveries import (
    Addressee,
    BrokenTemplate,
    Delivery,
    Directory,
    Letter,
    Letters,
    Outcome,
    Post,
    Reason,
    Refused,
    State,
    Store,
    Unclear,
    Undeliverable,
)
from services.notifications.domain.insisting import insist
from services.notifications.domain.judging import Judging
from services.notifications.domain.kinds import KINDS, Kind
from services.notifications.domain.preferences import Channel
from services.notifications.domain.pushing import Pushing
from services.notifications.domain.unsubscribing import Links
from services.notifications.limits import (
    DELIVERY_LEASE,
    DELIVERY_PAUSE_LONGEST,
    DELIVERY_PREPARED,
    DELIVERY_TRIED,
    MAILS_TO_ADDRESS,
    MAILS_TO_ADDRESS_WINDOW,
)

SENT = Outcome(State.SENT)
_NOBODY = Outcome(State.WITHHELD, Reason.NOBODY)


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A letter that may go out now. `recipient`: the address as the store knows it."""

    letter: Letter
    addressee: Addressee
    recipient: str


@dataclass(frozen=True)
class Sending:
    """The use case. `key`: by which addresses are told apart without being kept."""

    store: Store
    judging: Judging
    directory: Directory
    letters: Letters
    post: Post
    links: Links
    pushing: Pushing
    key: bytes
    now: Callable[[], datetime]

    async def send_next(self) -> bool:
        """Attempt the delivery that is due; whether there was one. Raises: Unavailable if the store is away.

        What nobody foresaw is raised too, once it is settled: others do not meet it.
        """
        now = self.now()
        until = now + timedelta(seconds=DELIVERY_LEASE)
        delivery = await self.store.claim(now, until)
        if delivery is None:
            return False
        try:
            outcome = await self._attempted(delivery)
        except Exception:
            await self._keep(delivery, self._unforeseen(delivery), until)
            raise
        await self._keep(delivery, outcome, until)
        return True

    async def sweep(self) -> int:
        """Give up what must not be repeated and whose sender died; how many. Raises: Unavailable."""
        return await self.store.sweep(self.now())

    async def _keep(self, delivery: Delivery, outcome: Outcome, until: datetime) -> None:
        """Write down what has come of it, while it is ours. Raises: Unavailable if the store is away for so long."""
        now = self.now()

        async def tell() -> None:
            if outcome.digest:
                await self.store.collect(delivery, outcome, _digest(delivery, outcome, now), now)
            else:
                await self.store.settle(delivery, outcome, now)

        await insist(tell, now, until)

    async def _attempted(self, delivery: Delivery) -> Outcome:
        try:
            if delivery.channel == Channel.PUSH:
                return await self.pushing.attempted(delivery)
            return await self._mailed(delivery)
        except Unclear:
            return self._later(delivery, Reason.UNCLEAR) if delivery.repeatable else Outcome(State.LOST, Reason.UNCLEAR)
        except Refused as refusal:
            address = isinstance(refusal, Undeliverable)
            return Outcome(State.FAILED, Reason.UNDELIVERABLE if address else Reason.REFUSED)
        except BrokenTemplate:
            return Outcome(State.FAILED, Reason.BROKEN_TEMPLATE)
        except NotFound:
            return Outcome(State.WITHHELD, Reason.NOBODY)
        except (Error, TimeoutError):
            return self._later(delivery, Reason.UNAVAILABLE)

    async def _mailed(self, delivery: Delivery) -> Outcome:
        async with asyncio.timeout(DELIVERY_PREPARED):
            addressee = await self.directory.addressee(delivery)
            prepared = await self._prepared(addressee, delivery) if addressee else _NOBODY
        if isinstance(prepared, Outcome):
            return prepared
        await self._send(prepared, delivery)
        return SENT

    async def _prepared(self, addressee: Addressee, delivery: Delivery) -> _Prepared | Outcome:
        """What is to go out, unless something has come of it already."""
        if (kind := KINDS.get(addressee.kind)) is None:
            return Outcome(State.FAILED, Reason.UNKNOWN_KIND)
        letter = await self._letter(kind, addressee, delivery)
        recipient = hmac.new(self.key, addressee.email.strip().casefold().encode(), hashlib.sha256).hexdigest()[:32]
        if await self._crowded(kind, addressee, delivery, recipient):
            return Outcome(State.WITHHELD, Reason.THROTTLED)
        if held := await self.judging.verdict(delivery, kind, addressee.zone, recipient):
            return held
        return _Prepared(letter, addressee, recipient)

    async def _send(self, prepared: _Prepared, delivery: Delivery) -> None:
        try:
            await self.post.send(prepared.letter, prepared.addressee, delivery.message_id)
        except Undeliverable:
            await self.store.suppress(prepared.recipient, self.now())
            raise

    async def _letter(self, kind: Kind, addressee: Addressee, delivery: Delivery) -> Letter:
        """Of a digest, the letters' subjects; of a digest of one, that letter."""
        items = await self.store.collected(delivery.delivery_id) if kind.digest else ()
        if len(items) == 1:
            return self._written(KINDS[items[0].kind], addressee, items[0].variables)
        subjects = [self._written(KINDS[one.kind], addressee, one.variables).subject for one in items]
        listed = {"items": "\n".join(f"- {subject}" for subject in subjects)} if kind.digest else {}
        return self._written(kind, addressee, {**addressee.variables, **listed})

    def _written(self, kind: Kind, addressee: Addressee, variables: Mapping[str, str]) -> Letter:
        link = "" if kind.repeatable else self.links.link(addressee.user_id, kind.category)
        zoned = {**variables, "zone": addressee.zone or "UTC"}
        return self.letters.written(kind.name, addressee.locale, zoned, link)

    async def _crowded(self, kind: Kind, addressee: Addressee, delivery: Delivery, recipient: str) -> bool:
        """Nobody's box is flooded by what strangers ask for."""
        since = self.now() - timedelta(seconds=MAILS_TO_ADDRESS_WINDOW)
        others = await self.store.crowd(delivery.delivery_id, kind.name, addressee.user_id, recipient, since)
        return kind.asked_by_anybody and others >= MAILS_TO_ADDRESS

    def _unforeseen(self, delivery: Delivery) -> Outcome:
        """Rather twice than never if it is about security; else it may have gone out, and fails."""
        if delivery.repeatable:
            return self._later(delivery, Reason.INTERNAL)
        return Outcome(State.FAILED, Reason.INTERNAL)

    def _later(self, delivery: Delivery, reason: Reason) -> Outcome:
        """Again after a pause that grows, or not at all once it is too old to be of use."""
        now = self.now()
        if now - (delivery.held_until or delivery.create_time) > timedelta(seconds=DELIVERY_TRIED):
            return Outcome(State.FAILED, reason)
        pause = min(DELIVERY_PAUSE_LONGEST, 2.0 ** min(delivery.attempts - 1, 20))
        return Outcome(State.WAITING, reason, now + timedelta(seconds=pause))


def _digest(delivery: Delivery, outcome: Outcome, now: datetime) -> Delivery:
    """One for each person, category and time, whichever delivery is its first."""
    assert outcome.not_before is not None
    return Delivery(
        delivery_id=new_id("delivery", now.timestamp()),
        event_id=f"{outcome.digest}:{outcome.not_before:%Y-%m-%dT%H:%MZ}",
        channel=delivery.channel,
        kind=outcome.digest,
        user_id=delivery.user_id,
        repeatable=False,
        create_time=now,
        not_before=outcome.not_before,
        held_until=outcome.not_before,
    )
