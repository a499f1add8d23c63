"""What a subscription goes through, whatever the cause."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from mesh.model import Caller
from services.billing.domain.entities import Subscription, SubscriptionState
from services.billing.domain.events import (
    SubscriptionCancelled,
    SubscriptionChanged,
    SubscriptionDue,
    SubscriptionStarted,
    due,
)
from services.billing.domain.storage import Store

CLOCKS_DIFFER = timedelta(minutes=5)
"""At most, of the database that sends a reminder at its time and of whoever gets it."""

_State = SubscriptionState
_Announced = type[SubscriptionStarted] | type[SubscriptionChanged] | type[SubscriptionCancelled]


class Lifecycle:
    """Each method runs in a transaction that has locked the organisation."""

    def __init__(self, store: Store, now: Callable[[], datetime]) -> None:
        self.store = store
        self.now = now

    async def change(
        self, caller: Caller, old: Subscription, kind: _Announced = SubscriptionChanged, **values: Any
    ) -> Subscription:
        """Keep the next version and announce it."""
        new = await self.keep(replace(old, **values))
        await self.store.announce(kind.of(caller, new), new.version)
        return new

    async def keep(self, changed: Subscription) -> Subscription:
        """Keep what nobody need hear of."""
        new = replace(changed, version=changed.version + 1)
        await self.store.put_subscription(new)
        return new

    async def open(self, caller: Caller, new: Subscription) -> None:
        """Keep a new one, which is announced as soon as it can be used, and have it woken when its period ends."""
        if new.state is _State.INCOMPLETE:
            await self.keep(new)
        else:
            await self.change(caller, new, SubscriptionStarted)
        await self.wake(caller, new)

    async def wake(self, caller: Caller, found: Subscription, later: timedelta = timedelta(0)) -> None:
        """Have it looked at when its period ends, or so much later."""
        event = due(SubscriptionDue, caller, found.organisation_id, found.subscription_id)
        await self.store.remind(event, found.period_end + later)

    def reminded_early(self, at: datetime) -> bool:
        """Whether a reminder for that time has come before it: the clock here is behind, and no other will follow."""
        return self.now() < at <= self.now() + CLOCKS_DIFFER

    async def paid(self, caller: Caller, subscription_id: str) -> None:
        """An invoice of it was paid: it can be used, unless another one is open."""
        found = await self.get(subscription_id)
        if found.state is _State.INCOMPLETE:
            await self.change(caller, found, SubscriptionStarted, state=_State.ACTIVE)
        elif found.state is _State.PAST_DUE and not await self.store.open_invoices(subscription_id):
            await self.change(caller, found, state=_State.ACTIVE)

    async def waived(self, caller: Caller, subscription_id: str) -> None:
        """An invoice of it is not owed any more: one that waits for its first payment never begins."""
        found = await self.get(subscription_id)
        if found.state is _State.INCOMPLETE:
            await self.end(caller, found)
        else:
            await self.paid(caller, subscription_id)

    async def unpaid(self, caller: Caller, subscription_id: str) -> None:
        """An invoice of it could not be paid."""
        found = await self.get(subscription_id)
        if found.state is _State.ACTIVE:
            await self.change(caller, found, state=_State.PAST_DUE)

    async def end(self, caller: Caller, found: Subscription) -> Subscription:
        """It is over."""
        return await self.change(
            caller, found, SubscriptionCancelled, state=_State.ENDED, end_time=self.now(), cancel_at_period_end=False
        )

    async def get(self, subscription_id: str) -> Subscription:
        """The subscription of an invoice, which exists."""
        found = await self.store.subscription(subscription_id)
        assert found is not None, subscription_id
        return found
