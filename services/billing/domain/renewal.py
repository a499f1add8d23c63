"""Periods: what is invoiced when one ends and the next begins, and when a subscription is over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

from mesh.model import Caller
from services.billing.domain.entities import Customer, Line, Subscription, SubscriptionState
from services.billing.domain.invoicing import Invoicing
from services.billing.domain.lifecycle import CLOCKS_DIFFER, Lifecycle
from services.billing.domain.plans import Plan, period_start
from services.billing.domain.storage import Store

_State = SubscriptionState


class Renewal:
    """What happens to a subscription by itself."""

    def __init__(self, store: Store, invoicing: Invoicing, lifecycle: Lifecycle, now: Callable[[], datetime]) -> None:
        self.store = store
        self.invoicing = invoicing
        self.lifecycle = lifecycle
        self.now = now

    async def advance(self, caller: Caller, subscription_id: str) -> None:
        """Bring a subscription to the present, period by period; again nothing happens, a little early it waits."""

        async def advanced() -> None:
            found = await self.lifecycle.get(subscription_id)
            customer = await self.store.lock(found.organisation_id)
            found = await self.lifecycle.get(subscription_id)
            while found.live and found.state is not _State.INCOMPLETE and found.period_end <= self.now():
                found = await self._next(caller, customer, found)
            if found.live and self.lifecycle.reminded_early(found.period_end):
                await self.lifecycle.wake(caller, found, CLOCKS_DIFFER)

        await self.store.run(advanced)

    async def _next(self, caller: Caller, customer: Customer, found: Subscription) -> Subscription:
        if found.cancel_at_period_end:
            return await self.finish(caller, customer, found)
        plan = await self.plan(found)
        new = await self._renewed(caller, found, plan)
        await self.lifecycle.wake(caller, new)
        await self.bill(caller, customer, new, plan, in_advance=True)
        return await self.lifecycle.get(found.subscription_id)

    async def _renewed(self, caller: Caller, found: Subscription, plan: Plan) -> Subscription:
        if found.state is _State.TRIALING:
            return await self.lifecycle.change(
                caller, found, state=_State.ACTIVE, **first_period(plan, found.period_end)
            )
        start, end = (period_start(found.anchor, plan.interval, found.period + step) for step in (1, 2))
        return await self.lifecycle.keep(replace(found, period=found.period + 1, period_start=start, period_end=end))

    async def bill(self, caller: Caller, customer: Customer, found: Subscription, plan: Plan, in_advance: bool) -> None:
        """Invoice what was used and, in advance, the period that begins, with what the draft has already."""
        draft = await self.invoicing.draft(customer, found, plan.currency)
        lines = []
        if plan.metered and (used := await self.store.bill_usage(found.subscription_id, draft.invoice_id)):
            lines.append(Line(f"{plan.display_name}: used", used, plan.price(used)))
        if in_advance and not plan.metered and (price := plan.price(found.quantity)):
            lines.append(Line(plan.display_name, found.quantity, price))
        draft = await self.invoicing.add(draft, found, lines)
        if draft.lines:
            await self.invoicing.issue(caller, draft, customer)

    async def finish(self, caller: Caller, customer: Customer, found: Subscription) -> Subscription:
        """End a subscription: what was used is invoiced, what would have been given back later is dropped."""
        await self.bill(caller, customer, found, await self.plan(found), in_advance=False)
        await self.invoicing.drop_draft(found.subscription_id)
        return await self.lifecycle.end(caller, await self.lifecycle.get(found.subscription_id))

    async def plan(self, found: Subscription) -> Plan:
        """The plan of a subscription, which exists."""
        plan = await self.store.plan(found.plan_id)
        assert plan is not None, found.plan_id
        return plan


def first_period(plan: Plan, start: datetime) -> dict[str, Any]:
    """The values of a subscription whose periods are counted from `start`."""
    end = period_start(start, plan.interval, 1)
    return {"anchor": start, "period": 0, "period_start": start, "period_end": end}
