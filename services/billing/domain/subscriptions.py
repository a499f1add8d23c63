"""What people do with subscriptions: start, change, cancel, resume, and record what they use."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from mesh.model import Caller, new_id
from services.billing.domain.entities import (
    LARGEST_QUANTITY,
    LARGEST_UNBILLED,
    LARGEST_USE,
    MOST_LINES,
    Customer,
    Line,
    Subscription,
    SubscriptionState,
    Use,
    half_up,
)
from services.billing.domain.errors import (
    AlreadyCancelled,
    AlreadySubscribed,
    CurrencyMismatch,
    NotMetered,
    PaymentMethodMissing,
    PlanOfAnotherProduct,
    QuantityNotAllowed,
    SubscriptionEnded,
    SubscriptionNotFound,
    SubscriptionUnpaid,
    TooManyChanges,
    TrialNotOffered,
    UnknownPlan,
    UsageBeyondBound,
    UsageIdReused,
    refuse,
)
from services.billing.domain.invoicing import Invoicing
from services.billing.domain.lifecycle import Lifecycle
from services.billing.domain.plans import Plan
from services.billing.domain.renewal import Renewal, first_period
from services.billing.domain.storage import Store

_State = SubscriptionState


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is to be subscribed to. `currency`: what the caller takes the price to be in; empty for any."""

    plan_id: str
    quantity: int = 1
    currency: str = ""
    trial: bool = False


class Subscriptions:
    """The use cases, of whoever is signed in, for their organisation."""

    def __init__(
        self,
        store: Store,
        invoicing: Invoicing,
        lifecycle: Lifecycle,
        renewal: Renewal,
        now: Callable[[], datetime],
    ) -> None:
        self.store = store
        self.invoicing = invoicing
        self.lifecycle = lifecycle
        self.renewal = renewal
        self.now = now

    async def start(self, caller: Caller, wanted: Wanted) -> Subscription:
        """Subscribe: at once if it is free or tried, else when the first invoice is paid.

        Raises: UnknownPlan; CurrencyMismatch; QuantityNotAllowed; AlreadySubscribed; TrialNotOffered;
        PaymentMethodMissing.
        """
        plan = await self._plan(wanted.plan_id, wanted.currency)
        _check_quantity(plan, wanted.quantity)

        async def started() -> Subscription:
            customer = await self.store.lock(caller.signed_in.organisation_id)
            await self._check_start(customer, plan, wanted)
            new = self._new(caller, plan, wanted)
            await self.lifecycle.open(caller, new)
            if new.state is _State.INCOMPLETE:
                await self.renewal.bill(caller, customer, new, plan, in_advance=True)
            return await self.lifecycle.get(new.subscription_id)

        return await self.store.run(started)

    async def _check_start(self, customer: Customer, plan: Plan, wanted: Wanted) -> None:
        if await self.store.live_subscription(customer.organisation_id, plan.product):
            raise AlreadySubscribed
        if wanted.trial and (
            not plan.trial_days or await self.store.has_trialed(customer.organisation_id, plan.product)
        ):
            raise TrialNotOffered
        if _state(plan, wanted) is _State.INCOMPLETE and not customer.method:
            raise PaymentMethodMissing

    def _new(self, caller: Caller, plan: Plan, wanted: Wanted) -> Subscription:
        now, owner = self.now(), caller.signed_in
        period: dict[str, Any] = first_period(plan, now)
        if wanted.trial:
            period["period_end"] = now + timedelta(days=plan.trial_days)
        return Subscription(
            subscription_id=new_id("subscription", now.timestamp()),
            organisation_id=owner.organisation_id,
            user_id=owner.user_id,
            plan_id=plan.plan_id,
            product=plan.product,
            quantity=wanted.quantity,
            state=_state(plan, wanted),
            trialed=wanted.trial,
            cancel_at_period_end=False,
            create_time=now,
            **period,
        )

    async def change(self, caller: Caller, subscription_id: str, plan_id: str, quantity: int) -> Subscription:
        """Another plan (empty: the same) or quantity (0: the same), from now on.

        What is left of the period is charged anew and the unused rest of the old price taken off: at once
        if that is more than nothing, else with the next invoice. From nothing to a price, or to another
        interval, a new period begins. Of what is metered, the use so far is invoiced at once.

        Raises: SubscriptionNotFound; SubscriptionEnded; SubscriptionUnpaid; UnknownPlan;
        PlanOfAnotherProduct; CurrencyMismatch; QuantityNotAllowed; PaymentMethodMissing; TooManyChanges.
        """

        async def changed() -> Subscription:
            customer = await self.store.lock(caller.signed_in.organisation_id)
            old = await self._live(caller, subscription_id)
            before = await self.renewal.plan(old)
            plan = await self._successor(before, plan_id or old.plan_id)
            _check_quantity(plan, wanted := quantity or old.quantity)
            if (plan, wanted) == (before, old.quantity):
                return old
            return await self._change(caller, customer, old, before, plan, wanted)

        return await self.store.run(changed)

    async def _change(
        self, caller: Caller, customer: Customer, old: Subscription, before: Plan, plan: Plan, quantity: int
    ) -> Subscription:
        if old.state in (_State.INCOMPLETE, _State.PAST_DUE):
            raise SubscriptionUnpaid
        lines: Sequence[Line] = ()
        anew: dict[str, Any] = {}
        if before.metered:
            old = await self._invoice_use(caller, customer, old, before)
        if old.state is _State.ACTIVE:
            begins = before.interval is not plan.interval or (not before.price(old.quantity) and plan.price(quantity))
            anew = first_period(plan, self.now()) if begins else {}
            lines = prorated(old, before, plan, quantity, self.now(), whole=bool(begins))
        new = await self.lifecycle.change(caller, old, plan_id=plan.plan_id, quantity=quantity, **anew)
        if anew:
            await self.lifecycle.wake(caller, new)
        await self._bill(caller, customer, new, plan, lines)
        return await self.lifecycle.get(new.subscription_id)

    async def _invoice_use(self, caller: Caller, customer: Customer, old: Subscription, plan: Plan) -> Subscription:
        """What was used so far is paid by the price that it was used at."""
        await self.renewal.bill(caller, customer, old, plan, in_advance=False)
        found = await self.lifecycle.get(old.subscription_id)
        if found.state is _State.PAST_DUE:
            raise PaymentMethodMissing
        return found

    async def _bill(
        self, caller: Caller, customer: Customer, new: Subscription, plan: Plan, lines: Sequence[Line]
    ) -> None:
        draft = await self.invoicing.add(await self.invoicing.draft(customer, new, plan.currency), new, lines)
        if lines and draft.subtotal > 0:
            if not customer.method:
                raise PaymentMethodMissing
            await self.invoicing.issue(caller, draft, customer)
        elif lines and len(draft.lines) > MOST_LINES:
            raise TooManyChanges

    async def cancel(self, caller: Caller, subscription_id: str, at_once: bool) -> Subscription:
        """End a subscription with its period, or at once, when nothing is given back.

        Raises: SubscriptionNotFound; AlreadyCancelled.
        """

        async def cancelled() -> Subscription:
            customer = await self.store.lock(caller.signed_in.organisation_id)
            found = await self._own(caller, subscription_id)
            if not found.live or (found.cancel_at_period_end and not at_once):
                raise AlreadyCancelled
            if found.state is _State.INCOMPLETE:
                return await self._abandon(caller, found)
            if at_once:
                return await self.renewal.finish(caller, customer, found)
            return await self.lifecycle.change(caller, found, cancel_at_period_end=True)

        return await self.store.run(cancelled)

    async def _abandon(self, caller: Caller, found: Subscription) -> Subscription:
        """A charge that is under way is cancelled; if it comes in all the same, it is given back."""
        for invoice in await self.store.open_invoices(found.subscription_id):
            await self.invoicing.void(caller, invoice)
        return await self.lifecycle.end(caller, found)

    async def resume(self, caller: Caller, subscription_id: str) -> Subscription:
        """Let a subscription that was to end with its period go on. Raises: SubscriptionNotFound; SubscriptionEnded."""

        async def resumed() -> Subscription:
            await self.store.lock(caller.signed_in.organisation_id)
            found = await self._live(caller, subscription_id)
            if not found.cancel_at_period_end:
                return found
            return await self.lifecycle.change(caller, found, cancel_at_period_end=False)

        return await self.store.run(resumed)

    async def record_usage(self, caller: Caller, subscription_id: str, usage_id: str, quantity: int) -> Use:
        """Count a use once, whatever happens to the request.

        Raises: SubscriptionNotFound; NotMetered; SubscriptionEnded; UsageBeyondBound; UsageIdReused.
        """
        found = await self._own(caller, subscription_id)
        plan = await self.renewal.plan(found)
        if not plan.metered:
            raise NotMetered
        use = Use(
            organisation_id=found.organisation_id,
            subscription_id=subscription_id,
            usage_id=usage_id,
            quantity=_checked(quantity, LARGEST_USE),
            create_time=self.now(),
        )
        kept = await self.store.use(use, plan.units(LARGEST_UNBILLED))
        if kept is None:
            await self._live(caller, subscription_id)
            raise UsageBeyondBound
        if (kept.subscription_id, kept.quantity) != (subscription_id, quantity):
            raise UsageIdReused
        return kept

    async def get(self, caller: Caller, subscription_id: str) -> Subscription:
        """One of the caller's organisation. Raises: SubscriptionNotFound."""
        return await self._own(caller, subscription_id)

    async def _own(self, caller: Caller, subscription_id: str) -> Subscription:
        found = await self.store.subscription(subscription_id)
        if found is None or found.organisation_id != caller.signed_in.organisation_id:
            raise SubscriptionNotFound
        return found

    async def _live(self, caller: Caller, subscription_id: str) -> Subscription:
        found = await self._own(caller, subscription_id)
        if not found.live:
            raise SubscriptionEnded
        return found

    async def _plan(self, plan_id: str, currency: str) -> Plan:
        plan = next((plan for plan in await self.store.plans() if plan.plan_id == plan_id), None)
        if plan is None:
            refuse(UnknownPlan, "plan_id", "must be the plan_id of a plan on offer")
        if currency not in ("", plan.currency):
            refuse(CurrencyMismatch, "currency", f"must be {plan.currency} for this plan")
        return plan

    async def _successor(self, before: Plan, plan_id: str) -> Plan:
        if plan_id == before.plan_id:
            return before
        plan = await self._plan(plan_id, "")
        if (plan.product, plan.metered) != (before.product, before.metered):
            refuse(PlanOfAnotherProduct, "plan_id", f"must be a plan of {before.product}")
        if plan.currency != before.currency:
            refuse(CurrencyMismatch, "plan_id", f"must be a plan in {before.currency}")
        return plan


def prorated(old: Subscription, before: Plan, plan: Plan, quantity: int, now: datetime, whole: bool) -> Sequence[Line]:
    """The unused rest of what was paid taken off, and the new price for the rest of the period, or for a whole one.

    Counted in seconds, each line rounded half up; there and back at the same moment is nothing. What is metered was
    not paid in advance.
    """
    if before.metered:
        return ()
    length = round((old.period_end - old.period_start).total_seconds())
    rest = max(0, round((old.period_end - now).total_seconds()))
    unused = half_up(-before.price(old.quantity) * rest, length)
    price = plan.price(quantity)
    lines = (
        Line(f"{before.display_name}: not used", old.quantity, unused),
        Line(plan.display_name, quantity, price if whole else half_up(price * rest, length)),
    )
    return tuple(line for line in lines if line.amount)


def _state(plan: Plan, wanted: Wanted) -> SubscriptionState:
    if wanted.trial:
        return _State.TRIALING
    return _State.INCOMPLETE if not plan.metered and plan.price(wanted.quantity) else _State.ACTIVE


def _check_quantity(plan: Plan, quantity: int) -> None:
    if plan.metered and quantity != 1:
        refuse(QuantityNotAllowed, "quantity", "must be 1 or absent for a metered plan")
    _checked(quantity, LARGEST_QUANTITY)


def _checked(quantity: int, largest: int) -> int:
    if not 1 <= quantity <= largest:
        refuse(QuantityNotAllowed, "quantity", f"must be 1 to {largest}")
    return quantity
