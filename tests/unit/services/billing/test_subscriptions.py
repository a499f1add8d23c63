"""Subscriptions: starting, paying, renewing, changing and ending them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from mesh.model import Error
from services.billing.domain import errors
from services.billing.domain.charging import BILLING
from services.billing.domain.entities import (
    LARGEST_QUANTITY,
    LARGEST_UNBILLED,
    LARGEST_USE,
    Invoice,
    InvoiceState,
    PaymentState,
    SubscriptionState,
)
from services.billing.domain.events import InvoicePaid, SubscriptionDue
from services.billing.domain.ledger import LARGEST_AMOUNT, Account
from services.billing.domain.plans import Interval
from services.billing.domain.subscriptions import Wanted
from tests.fakes import billing as fakes
from tests.fakes.billing import PLANS
from tests.unit.services.billing.world import ADA, BOB, START, World

S = SubscriptionState


async def test_a_paid_plan_begins_with_its_payment(world: World) -> None:
    """A subscription can be used when its first invoice is paid, and then says so."""
    await world.card()
    subscription_id = await world.start(quantity=3)
    assert (world.subscription(subscription_id).state, world.announced) == (S.INCOMPLETE, [])
    await world.pass_time()
    assert world.subscription(subscription_id).state is S.ACTIVE
    assert world.announced == ["InvoicePaid", "SubscriptionStarted"]
    [invoice] = world.invoices
    assert (invoice.state, invoice.number, invoice.subtotal, invoice.tax) == (InvoiceState.PAID, "EX-000001", 2700, 513)
    [(_, paid)] = [one for one in world.store.events if isinstance(one[1], InvoicePaid)]
    assert isinstance(paid, InvoicePaid)
    assert (paid.amount_minor, paid.currency, paid.number) == (3213, "EUR", "EX-000001")
    assert [await world.holds(account) for account in (Account.CLEARING, Account.REVENUE, Account.TAX)] == [
        3213,
        -2700,
        -513,
    ]


async def test_what_is_free_begins_at_once(world: World) -> None:
    """A free plan needs no payment method and makes no invoices, however long it lasts."""
    subscription_id = await world.start("free")
    await world.pass_time(days=400)
    assert (world.subscription(subscription_id).state, world.invoices) == (S.ACTIVE, [])
    assert world.announced == ["SubscriptionStarted"]


async def test_a_trial_becomes_a_subscription(world: World) -> None:
    """A trial costs nothing; when it ends the first period is charged, and periods are counted from there."""
    await world.card()
    subscription_id = await world.start(trial=True)
    assert (world.subscription(subscription_id).state, world.invoices) == (S.TRIALING, [])
    await world.pass_time(days=14)
    found = world.subscription(subscription_id)
    assert (found.state, found.period_start) == (S.ACTIVE, START + timedelta(days=14))
    assert [invoice.state for invoice in world.invoices] == [InvoiceState.PAID]
    await world.pass_time(days=31)
    assert len(world.invoices) == 2


async def test_periods_are_renewed(world: World) -> None:
    """Each month of a year is invoiced once, also when the reminders come late or twice."""
    subscription_id = await world.subscribed()
    reminders = list(world.store.reminders)
    world.now += timedelta(days=70)
    for _, event in reminders * 2:
        await world.remind(event)
    assert len(world.invoices) == 3
    await world.pass_time(days=365 - 71)
    assert len(world.invoices) == 12
    starts = [(invoice.period_start.month, invoice.period_start.day) for invoice in world.invoices]
    assert starts[:4] == [(1, 31), (2, 28), (3, 31), (4, 30)]
    assert world.subscription(subscription_id).state is S.ACTIVE
    await world.check()


async def test_one_late_reminder_makes_up_for_all(world: World) -> None:
    """After a long absence a single reminder brings a subscription to the present, each period invoiced once."""
    subscription_id = await world.subscribed()
    world.now += timedelta(days=100)
    await world.billing.renewal.advance(BILLING, subscription_id)
    assert len(world.invoices) == 4
    assert world.subscription(subscription_id).period_end > world.now


@pytest.mark.parametrize("behind", [0.001, 299.0])
async def test_a_clock_that_is_behind_loses_no_period(world: World, behind: float) -> None:
    """Whoever is reminded may not have the clock of whoever reminds: it looks again, and nobody is charged early."""
    subscription_id = await world.subscribed()
    await world.pass_time(days=2)
    await world.remind_early(SubscriptionDue, seconds=behind)
    assert world.subscription(subscription_id).period == 0
    await world.pass_time(minutes=15)
    assert (world.subscription(subscription_id).period, len(world.store.reminders)) == (1, 1)


async def test_what_never_began_is_not_renewed(world: World) -> None:
    """A subscription whose first payment is missing is not renewed, however late it is looked at."""
    await world.card("declined")
    subscription_id = await world.start()
    await world.pass_time()
    world.now += timedelta(days=40)
    await world.billing.renewal.advance(BILLING, subscription_id)
    assert (world.subscription(subscription_id).state, len(world.invoices)) == (S.INCOMPLETE, 1)


@pytest.mark.parametrize(
    ("wanted", "error", "field"),
    [
        (Wanted(plan_id="nope"), errors.UnknownPlan, "plan_id"),
        (Wanted(plan_id="free", currency="USD"), errors.CurrencyMismatch, "currency"),
        (Wanted(plan_id="free", quantity=0), errors.QuantityNotAllowed, "quantity"),
        (Wanted(plan_id="free", quantity=10_001), errors.QuantityNotAllowed, "quantity"),
        (Wanted(plan_id="api-calls", quantity=2), errors.QuantityNotAllowed, "quantity"),
        (Wanted(plan_id="free", trial=True), errors.TrialNotOffered, ""),
        (Wanted(plan_id="team-monthly"), errors.PaymentMethodMissing, ""),
    ],
)
async def test_what_cannot_be_subscribed_to(world: World, wanted: Wanted, error: type[Error], field: str) -> None:
    """A bad wish is refused, naming the field that is wrong, and nothing begins."""
    with pytest.raises(error) as raised:
        await world.billing.subscriptions.start(ADA, wanted)
    assert [violation.field for violation in raised.value.violations] == [field] * bool(field)
    assert (world.announced, world.store.kept) == ([], {})


async def test_one_live_subscription_to_each_product(world: World) -> None:
    """An organisation has one live subscription to each product; other products and organisations do not matter."""
    subscription_id = await world.start("free")
    with pytest.raises(errors.AlreadySubscribed):
        await world.start("team-monthly", trial=True)
    await world.start("api-calls")
    await world.start("free", BOB)
    await world.billing.subscriptions.cancel(ADA, subscription_id, at_once=True)
    await world.start("team-monthly", trial=True)


async def test_one_trial_for_each_product(world: World) -> None:
    """Who has had a trial of a product gets no other one, whatever the plan."""
    subscription_id = await world.start(trial=True)
    await world.billing.subscriptions.cancel(ADA, subscription_id, at_once=True)
    with pytest.raises(errors.TrialNotOffered):
        await world.start("team-yearly", trial=True)


async def test_a_first_payment_that_never_comes(world: World) -> None:
    """A subscription whose first invoice is not paid within a day never begins; its invoice is void."""
    await world.card("declined")
    subscription_id = await world.start()
    await world.pass_time()
    assert world.announced == ["PaymentFailed"]
    await world.pass_time(days=1)
    assert world.subscription(subscription_id).state is S.ENDED
    assert [invoice.state for invoice in world.invoices] == [InvoiceState.VOID]
    assert await world.holds(Account.REVENUE) == 0
    await world.check()


async def test_more_seats_are_paid_at_once(world: World) -> None:
    """Half a period of more seats costs half their price, now."""
    subscription_id = await world.subscribed(quantity=2)
    found = world.subscription(subscription_id)
    world.now = found.period_start + (found.period_end - found.period_start) / 2
    changed = await world.billing.subscriptions.change(ADA, subscription_id, "", 6)
    assert (changed.quantity, changed.period_end) == (6, found.period_end)
    assert [line.amount for line in world.invoices[-1].lines] == [-900, 2700]
    await world.pass_time()
    assert world.charges[-1].amount == round(1800 * 1.19)
    await world.check()


async def test_fewer_seats_make_the_next_invoice_smaller(world: World) -> None:
    """What was paid and is not used any more is taken off the next invoice, before its tax."""
    subscription_id = await world.subscribed(quantity=4)
    found = world.subscription(subscription_id)
    world.now = found.period_start + (found.period_end - found.period_start) / 2
    await world.billing.subscriptions.change(ADA, subscription_id, "", 2)
    assert len(world.invoices) == 1
    await world.pass_time(days=31)
    assert [line.amount for line in world.invoices[-1].lines] == [-1800, 900, 1800]
    assert world.charges[-1].amount == round(900 * 1.19)


async def test_there_and_back_costs_nothing(world: World) -> None:
    """More seats and fewer again at the same moment leave nothing to pay."""
    subscription_id = await world.subscribed(quantity=7)
    world.now += timedelta(days=11, seconds=17)
    await world.billing.subscriptions.change(ADA, subscription_id, "", 5)
    await world.billing.subscriptions.change(ADA, subscription_id, "", 7)
    draft = await world.store.draft(subscription_id)
    assert draft
    assert draft.subtotal == 0


async def test_another_interval_begins_a_new_period(world: World) -> None:
    """From months to years the year begins now, less the rest of the month."""
    subscription_id = await world.subscribed()
    found = world.subscription(subscription_id)
    world.now = found.period_start + (found.period_end - found.period_start) / 2
    changed = await world.billing.subscriptions.change(ADA, subscription_id, "team-yearly", 0)
    assert (changed.period_start, changed.period_end) == (world.now, world.now.replace(year=2027))
    assert [line.amount for line in world.invoices[-1].lines] == [-450, 9000]
    await world.pass_time(days=300)
    assert len(world.invoices) == 2


async def test_from_nothing_to_a_price_begins_a_new_period(world: World) -> None:
    """Who leaves the free plan pays a whole period from then on; without a payment method they stay."""
    subscription_id = await world.start("free")
    await world.pass_time(days=10)
    with pytest.raises(errors.PaymentMethodMissing):
        await world.billing.subscriptions.change(ADA, subscription_id, "team-monthly", 0)
    assert world.subscription(subscription_id).plan_id == "free"
    await world.card()
    await world.billing.subscriptions.change(ADA, subscription_id, "team-monthly", 0)
    assert [line.amount for line in world.invoices[-1].lines] == [900]
    assert world.subscription(subscription_id).period_start == world.now


@pytest.mark.parametrize(
    ("plan_id", "quantity", "error"),
    [
        ("nope", 0, errors.UnknownPlan),
        ("api-calls", 0, errors.PlanOfAnotherProduct),
        ("team-monthly-usd", 0, errors.CurrencyMismatch),
        ("", 10_001, errors.QuantityNotAllowed),
    ],
)
async def test_what_cannot_be_changed_to(world: World, plan_id: str, quantity: int, error: type[Error]) -> None:
    """A subscription keeps its product and currency; a refused change leaves it as it was."""
    subscription_id = await world.subscribed()
    before = world.subscription(subscription_id)
    with pytest.raises(error):
        await world.billing.subscriptions.change(ADA, subscription_id, plan_id, quantity)
    assert world.subscription(subscription_id) == before


async def test_changes_that_wait_have_a_bound(world: World) -> None:
    """A draft does not grow without end: beyond its bound nothing waits in it, and what is paid goes on."""
    subscription_id = await world.subscribed(quantity=100)
    change = world.billing.subscriptions.change
    for quantity in range(99, 49, -1):
        await change(ADA, subscription_id, "", quantity)
    with pytest.raises(errors.TooManyChanges):
        await change(ADA, subscription_id, "", 49)
    assert world.subscription(subscription_id).quantity == 50
    assert [len(one.lines) for one in world.store.of(Invoice) if one.state is InvoiceState.DRAFT] == [100]
    await change(ADA, subscription_id, "", 101)
    assert (world.invoices[-1].subtotal, len(world.invoices[-1].lines)) == (900, 102)
    await world.pass_time(days=28)
    await change(ADA, subscription_id, "", 49)
    await world.check()


async def test_a_change_needs_paid_invoices(world: World) -> None:
    """Nothing is changed while a payment is missing."""
    subscription_id = await world.subscribed()
    await world.card("declined")
    await world.pass_time(days=28)
    assert world.subscription(subscription_id).state is S.PAST_DUE
    with pytest.raises(errors.SubscriptionUnpaid):
        await world.billing.subscriptions.change(ADA, subscription_id, "", 5)


async def test_cancelled_with_its_period(world: World) -> None:
    """A subscription that is cancelled lasts until the end of its period, and then is not renewed."""
    subscription_id = await world.subscribed()
    cancelled = await world.billing.subscriptions.cancel(ADA, subscription_id, at_once=False)
    assert (cancelled.state, cancelled.cancel_at_period_end) == (S.ACTIVE, True)
    with pytest.raises(errors.AlreadyCancelled):
        await world.billing.subscriptions.cancel(ADA, subscription_id, at_once=False)
    await world.pass_time(days=40)
    assert (world.subscription(subscription_id).state, len(world.invoices)) == (S.ENDED, 1)
    assert world.announced[-2:] == ["SubscriptionChanged", "SubscriptionCancelled"]
    for again in (True, False):
        with pytest.raises(errors.AlreadyCancelled):
            await world.billing.subscriptions.cancel(ADA, subscription_id, at_once=again)
    with pytest.raises(errors.SubscriptionEnded):
        await world.billing.subscriptions.resume(ADA, subscription_id)


async def test_resumed(world: World) -> None:
    """Who changes their mind before the period ends goes on as if nothing had been."""
    subscription_id = await world.subscribed()
    await world.billing.subscriptions.cancel(ADA, subscription_id, at_once=False)
    await world.billing.subscriptions.resume(ADA, subscription_id)
    await world.billing.subscriptions.resume(ADA, subscription_id)
    await world.pass_time(days=40)
    assert (world.subscription(subscription_id).state, len(world.invoices)) == (S.ACTIVE, 2)


async def test_cancelled_before_it_was_paid(world: World) -> None:
    """Who gives up before the first payment owes nothing; a payment that comes after all is given back."""
    await world.card("slow")
    subscription_id = await world.start()
    await world.pass_time()
    await world.billing.subscriptions.cancel(ADA, subscription_id, at_once=False)
    assert [invoice.state for invoice in world.invoices] == [InvoiceState.VOID]
    [charge] = world.charges
    world.payments.decide(charge.charge_id, world.payments.charged[charge.charge_id][1].state.SUCCEEDED)
    await world.pass_time(hours=2)
    assert world.charges[0].state is PaymentState.SUCCEEDED
    assert (world.subscription(subscription_id).state, world.payments.holds("EUR")) == (S.ENDED, 0)
    assert await world.holds(Account.CREDIT) == await world.holds(Account.CLEARING) == 0


async def test_others_have_no_such_subscription(world: World) -> None:
    """What another organisation has does not exist for you."""
    subscription_id = await world.start("free")
    for attempt in (
        world.billing.subscriptions.get(BOB, subscription_id),
        world.billing.subscriptions.change(BOB, subscription_id, "", 2),
        world.billing.subscriptions.cancel(BOB, subscription_id, at_once=True),
        world.billing.subscriptions.resume(BOB, subscription_id),
        world.billing.subscriptions.record_usage(BOB, subscription_id, "one", 1),
    ):
        with pytest.raises(errors.SubscriptionNotFound):
            await attempt


async def test_what_is_used_is_invoiced(world: World) -> None:
    """Each use counts once under its id, and all of a period are paid after it, by units that have begun."""
    await world.card()
    subscription_id = await world.start("api-calls")
    record = world.billing.subscriptions.record_usage
    for usage_id, quantity in (("one", 700), ("two", 400), ("one", 700)):
        await record(ADA, subscription_id, usage_id, quantity)
    with pytest.raises(errors.UsageIdReused):
        await record(ADA, subscription_id, "one", 701)
    await world.pass_time(days=28)
    assert [(line.quantity, line.amount) for line in world.invoices[-1].lines] == [(1100, 100)]
    await world.pass_time(days=31)
    assert len(world.invoices) == 1
    await record(ADA, subscription_id, "three", 1)
    await world.billing.subscriptions.cancel(ADA, subscription_id, at_once=True)
    assert [(line.quantity, line.amount) for line in world.invoices[-1].lines] == [(1, 50)]
    with pytest.raises(errors.SubscriptionEnded):
        await record(ADA, subscription_id, "four", 1)
    assert (await record(ADA, subscription_id, "three", 1)).quantity == 1
    await world.pass_time(days=1)
    await world.check()


async def test_only_what_is_metered_is_counted(world: World) -> None:
    """A plan with a quantity counts no uses; a use of nothing or of too much is refused."""
    seats, calls = await world.start("free"), await world.start("api-calls")
    with pytest.raises(errors.NotMetered):
        await world.billing.subscriptions.record_usage(ADA, seats, "one", 1)
    for quantity in (0, -1, LARGEST_USE + 1):
        with pytest.raises(errors.QuantityNotAllowed):
            await world.billing.subscriptions.record_usage(ADA, calls, "one", quantity)


async def test_what_is_used_can_be_invoiced(world: World) -> None:
    """However much is used, it is refused before no invoice could hold it: renewing and cancelling always work."""
    await world.card()
    subscription_id = await world.start("api-calls")
    record = world.billing.subscriptions.record_usage
    for place in range(20):
        await record(ADA, subscription_id, str(place), LARGEST_USE)
    with pytest.raises(errors.UsageBeyondBound):
        await record(ADA, subscription_id, "more", 1)
    assert (await record(ADA, subscription_id, "0", LARGEST_USE)).quantity == LARGEST_USE
    await world.pass_time(days=28)
    assert world.invoices[-1].subtotal == LARGEST_UNBILLED
    await record(ADA, subscription_id, "more", 1)
    await world.billing.subscriptions.cancel(ADA, subscription_id, at_once=True)
    await world.check()


@pytest.mark.parametrize("interval", Interval)
async def test_metered_plans_are_changed(world: World, monkeypatch: pytest.MonkeyPatch, interval: Interval) -> None:
    """Another metered plan costs nothing in advance; what was used before it is paid by the price of then."""
    [calls] = [plan for plan in PLANS if plan.metered]
    dear = replace(calls, plan_id="dear-calls", unit_amount=8000, interval=interval)
    monkeypatch.setattr(fakes, "PLANS", (*PLANS, dear))
    subscription_id = await world.start("api-calls")
    record, change = world.billing.subscriptions.record_usage, world.billing.subscriptions.change
    await record(ADA, subscription_id, "one", 1000)
    with pytest.raises(errors.PaymentMethodMissing):
        await change(ADA, subscription_id, "dear-calls", 0)
    await world.card()
    await change(ADA, subscription_id, "dear-calls", 0)
    assert [line.amount for invoice in world.store.of(Invoice) for line in invoice.lines] == [50]
    await change(ADA, subscription_id, "api-calls", 0)
    await change(ADA, subscription_id, "dear-calls", 0)
    await record(ADA, subscription_id, "two", 1)
    await world.pass_time(days=366)
    assert [invoice.subtotal for invoice in world.invoices] == [50, 8000]
    await world.check()


def test_bounds_agree() -> None:
    """The largest invoice, of use or of a quantity, fits into the ledger with as much tax, and into 64 bits."""
    for plan in PLANS:
        assert plan.price(plan.units(LARGEST_UNBILLED)) <= LARGEST_UNBILLED
        assert plan.units(LARGEST_UNBILLED) + LARGEST_USE < 2**63
        assert 2 * plan.price(LARGEST_QUANTITY) <= LARGEST_AMOUNT
    assert 2 * LARGEST_UNBILLED <= LARGEST_AMOUNT
