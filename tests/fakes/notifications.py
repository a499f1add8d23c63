"""Deliveries in memory; passes the contract suite of the real store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from mesh.model import UserId
from services.notifications.domain.deliveries import Decision, Delivery, Outcome, Reason, State


class FakeStore:
    """A `services.notifications.domain.deliveries.Store`."""

    def __init__(self) -> None:
        self.kept: dict[str, Delivery] = {}
        self.leases: dict[str, datetime] = {}
        self.recipients: dict[str, str] = {}
        self.unreachable: set[str] = set()

    async def add(self, delivery: Delivery) -> bool:
        known = {(one.event_id, one.channel, one.mail_id, one.user_id): one for one in self.kept.values()}
        same = known.get((delivery.event_id, delivery.channel, delivery.mail_id, delivery.user_id))
        kept = replace(same, repeats=same.repeats + 1) if same else delivery
        self.kept[kept.delivery_id] = kept
        return same is None

    async def claim(self, now: datetime, until: datetime) -> Delivery | None:
        due = [one for one in self._in(State.WAITING) if one.not_before <= now and not one.digest_id]
        waiting = [(one.not_before, one) for one in due]
        abandoned = [(self.leases[one.delivery_id], one) for one in self._abandoned(now) if one.repeatable]
        if not (found := sorted((*waiting, *abandoned), key=lambda pair: pair[0])):
            return None
        claimed = replace(found[0][1], state=State.SENDING, attempts=found[0][1].attempts + 1)
        self.kept[claimed.delivery_id], self.leases[claimed.delivery_id] = claimed, until
        return claimed

    async def crowd(self, delivery_id: str, kind: str, user_id: UserId, recipient: str, since: datetime) -> int:
        self.kept[delivery_id] = replace(self.kept[delivery_id], kind=kind, user_id=user_id)
        self.recipients[delivery_id] = recipient
        others = [one for one in (*self._in(State.SENT), *self._in(State.SENDING)) if one.delivery_id != delivery_id]
        alike = [one for one in others if one.kind == kind and self.recipients.get(one.delivery_id) == recipient]
        return len([one for one in alike if one.create_time >= since])

    async def settle(self, delivery: Delivery, outcome: Outcome, now: datetime) -> None:
        if self._ours(delivery):
            await self._settle(delivery.delivery_id, outcome, now)
            if delivery.repeatable and outcome.state is State.SENT:
                self.unreachable.discard(self.recipients.get(delivery.delivery_id, ""))

    async def _settle(self, delivery_id: str, outcome: Outcome, now: datetime) -> None:
        for old in (self.kept[delivery_id], *await self.collected(delivery_id)):
            self.kept[old.delivery_id] = replace(
                old,
                state=outcome.state,
                reason=outcome.reason,
                not_before=outcome.not_before or old.not_before,
                held_until=outcome.held_until or old.held_until,
                done_time=None if outcome.state is State.WAITING else now,
                history=_told(old.history, outcome, now),
            )

    async def collect(self, delivery: Delivery, outcome: Outcome, digest: Delivery, now: datetime) -> None:
        if not self._ours(delivery):
            return
        await self.add(digest)
        same = (digest.event_id, digest.user_id, digest.channel)
        alike = [one for one in self._in(State.WAITING) if (one.event_id, one.user_id, one.channel) == same]
        digest_id = alike[0].delivery_id if alike else None
        await self.settle(delivery, outcome, now)
        self.kept[delivery.delivery_id] = replace(self.kept[delivery.delivery_id], digest_id=digest_id)

    async def collected(self, digest_id: str) -> Sequence[Delivery]:
        return sorted(
            (one for one in self.kept.values() if one.digest_id == digest_id), key=lambda one: one.delivery_id
        )

    async def told(self, delivery: Delivery, kinds: Sequence[str], since: datetime) -> int:
        gone = [one for one in self._in(State.SENT) if one.done_time and one.done_time >= since]
        others = [one for one in (*gone, *self._in(State.SENDING)) if one.delivery_id != delivery.delivery_id]
        alike = [one for one in others if one.kind in kinds and not one.digest_id]
        return len([one for one in alike if (one.user_id, one.channel) == (delivery.user_id, delivery.channel)])

    async def suppress(self, recipient: str, now: datetime) -> None:
        self.unreachable.add(recipient)

    async def suppressed(self, recipient: str) -> bool:
        return recipient in self.unreachable

    async def sweep(self, now: datetime) -> int:
        lost = [one for one in self._abandoned(now) if not one.repeatable]
        for one in lost:
            await self._settle(one.delivery_id, Outcome(State.LOST, Reason.UNCLEAR), now)
        return len(lost)

    async def list_deliveries(self, user_id: str, event_id: str, kind: str, size: int) -> Sequence[Delivery]:
        found = [
            one
            for one in self.kept.values()
            if user_id in ("", one.user_id) and event_id in ("", one.event_id) and kind in ("", one.kind)
        ]
        return sorted(found, key=lambda one: one.delivery_id, reverse=True)[:size]

    def _in(self, state: State) -> list[Delivery]:
        return [one for one in self.kept.values() if one.state is state]

    def _ours(self, delivery: Delivery) -> bool:
        kept = self.kept[delivery.delivery_id]
        return (kept.state, kept.attempts) == (delivery.state, delivery.attempts)

    def _abandoned(self, now: datetime) -> list[Delivery]:
        return [one for one in self._in(State.SENDING) if self.leases[one.delivery_id] <= now]


def _told(history: tuple[Decision, ...], outcome: Outcome, now: datetime) -> tuple[Decision, ...]:
    news = Decision(now, outcome.state, outcome.reason, outcome.not_before)
    again = history and (history[-1].state, history[-1].reason) == (news.state, news.reason)
    return (*(history[:-1] if again else history), news)
