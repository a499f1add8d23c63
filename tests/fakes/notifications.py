"""Deliveries in memory; passes the contract suite of the real store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from mesh.model import UserId
from services.notifications.domain.deliveries import Delivery, Outcome, Reason, State


class FakeStore:
    """A `services.notifications.domain.deliveries.Store`."""

    def __init__(self) -> None:
        self.kept: dict[str, Delivery] = {}
        self.leases: dict[str, datetime] = {}
        self.recipients: dict[str, str] = {}

    async def add(self, delivery: Delivery) -> None:
        known = {(one.event_id, one.channel, one.mail_id, one.user_id) for one in self.kept.values()}
        if (delivery.event_id, delivery.channel, delivery.mail_id, delivery.user_id) not in known:
            self.kept[delivery.delivery_id] = delivery

    async def claim(self, now: datetime, until: datetime) -> Delivery | None:
        waiting = [(one.not_before, one) for one in self._in(State.WAITING) if one.not_before <= now]
        abandoned = [(self.leases[one.delivery_id], one) for one in self._abandoned(now) if one.repeatable]
        if not (due := sorted((*waiting, *abandoned), key=lambda pair: pair[0])):
            return None
        claimed = replace(due[0][1], state=State.SENDING, attempts=due[0][1].attempts + 1)
        self.kept[claimed.delivery_id], self.leases[claimed.delivery_id] = claimed, until
        return claimed

    async def crowd(self, delivery_id: str, kind: str, user_id: UserId, recipient: str, since: datetime) -> int:
        self.kept[delivery_id] = replace(self.kept[delivery_id], kind=kind, user_id=user_id)
        self.recipients[delivery_id] = recipient
        others = [one for one in (*self._in(State.SENT), *self._in(State.SENDING)) if one.delivery_id != delivery_id]
        alike = [one for one in others if one.kind == kind and self.recipients.get(one.delivery_id) == recipient]
        return len([one for one in alike if one.create_time >= since])

    async def settle(self, delivery_id: str, outcome: Outcome, now: datetime) -> None:
        old = self.kept[delivery_id]
        self.kept[delivery_id] = replace(
            old,
            state=outcome.state,
            reason=outcome.reason,
            not_before=outcome.not_before or old.not_before,
            done_time=None if outcome.state is State.WAITING else now,
        )

    async def sweep(self, now: datetime) -> int:
        lost = [one for one in self._abandoned(now) if not one.repeatable]
        for one in lost:
            await self.settle(one.delivery_id, Outcome(State.LOST, Reason.UNCLEAR), now)
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

    def _abandoned(self, now: datetime) -> list[Delivery]:
        return [one for one in self._in(State.SENDING) if self.leases[one.delivery_id] <= now]
