"""Once a day our books are held against the provider's."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
import stripe
from hypothesis import given
from hypothesis import strategies as st

from services.billing.domain.drift import DriftKind, drifts
from services.billing.domain.money import Money
from services.billing.domain.ports import ProviderEntry
from services.billing.domain.reconciliation import Reconciliation
from services.billing.payments import _entries
from tests.unit.services.billing.world import World

DAY = datetime(2026, 2, 1, tzinfo=UTC)
NEXT = DAY + timedelta(days=1)
EUROS = Money(900, "EUR")


def entry(provider_id: str = "pi_1", money: Money = EUROS, hour: float = 12) -> ProviderEntry:
    return ProviderEntry(provider_id, money, DAY + timedelta(hours=hour))


moneys = st.builds(Money, st.integers(-9, 9), st.sampled_from(["EUR", "USD"]))
entries = st.lists(st.builds(entry, st.text("ab", min_size=1, max_size=3), moneys, st.floats(-48, 48)), max_size=20)


@given(entries, st.data())
def test_same_books_do_not_differ(found: list[ProviderEntry], data: st.DataObject) -> None:
    """Books with the same movements agree, in whatever order they are."""
    assert not list(drifts(found, data.draw(st.permutations(found)), DAY, NEXT))


@given(entries)
def test_what_one_side_lacks_is_found(found: list[ProviderEntry]) -> None:
    """Every movement of the day that only one side has is told, by which side lacks it."""
    of_day = {one.provider_id for one in found if DAY <= one.time < NEXT}
    for ours, theirs, kind in ((found, [], DriftKind.MISSING_THERE), ([], found, DriftKind.MISSING_HERE)):
        told = list(drifts(ours, theirs, DAY, NEXT))
        assert {one.provider_id for one in told} == of_day
        assert {one.kind for one in told} <= {kind}


@pytest.mark.parametrize("theirs", [[entry(money=Money(901, "EUR"))], [entry(money=Money(900, "USD"))], [entry()] * 2])
def test_other_amounts_differ(theirs: list[ProviderEntry]) -> None:
    """Another amount or currency, or the same charge twice, is a drift."""
    [drift] = drifts([entry()], theirs, DAY, NEXT)
    assert drift.kind is DriftKind.DIFFERENT


def test_late_booking_is_no_drift() -> None:
    """What the provider had before midnight and we booked after it is compared with itself."""
    assert not list(drifts([entry(hour=25)], [entry(hour=23)], DAY, NEXT))
    assert not list(drifts([entry(hour=1)], [entry(hour=-2)], DAY, NEXT))


def reconciliation(world: World) -> Reconciliation:
    return Reconciliation(world.store, world.payments, lambda: world.now)


async def test_true_books_agree_day_by_day(world: World) -> None:
    """A day with charges and refunds is compared once, after it has settled, and nothing differs."""
    await world.subscribed()
    await world.pass_time(hours=12)
    [early] = await reconciliation(world).run()
    assert early.day == date(2026, 1, 30)
    await world.pass_time(hours=2)
    [done] = await reconciliation(world).run()
    assert (done.day, done.drifts) == (date(2026, 1, 31), ())
    assert not await reconciliation(world).run()


async def test_planted_drift_is_told(world: World) -> None:
    """A charge that the provider lost, and one that we never heard of, are both found."""
    await world.subscribed()
    [(order, made)] = world.payments.charged.values()
    world.payments.charged = {"other": (order, replace(made, provider_id="pi_other"))}
    world.payments.times["pi_other"] = world.now
    await world.pass_time(hours=14)
    [done] = await reconciliation(world).run()
    assert {(one.kind, one.provider_id) for one in done.drifts} == {
        (DriftKind.MISSING_HERE, "pi_other"),
        (DriftKind.MISSING_THERE, made.provider_id),
    }


async def test_no_day_is_passed_over(world: World) -> None:
    """After an outage each day since the last one is compared, the oldest first, a week at each look."""
    await world.pass_time(hours=14)
    assert [one.day for one in await reconciliation(world).run()] == [date(2026, 1, 31)]
    await world.subscribed()
    world.payments.charged = {}
    await world.pass_time(days=10)
    first, then, last = [await reconciliation(world).run() for _ in range(3)]
    assert [one.day for one in (*first, *then)] == [date(2026, 2, 1) + timedelta(days=place) for place in range(10)]
    assert (len(first), last) == (7, ())
    assert [one.day for one in (*first, *then) if one.drifts] == [date(2026, 2, 1)]


async def test_what_moves_beside_is_told(world: World) -> None:
    """Payouts, fees and disputes are no drift, and are counted with their sums, by kind and currency."""
    await world.subscribed()
    others = [("po_1", -500, "payout"), ("txn_1", -30, "fee"), ("txn_2", -40, "fee"), ("dp_1", -71, "dispute")]
    world.payments.beside = [ProviderEntry(one, Money(amount, "EUR"), world.now, kind) for one, amount, kind in others]
    await world.pass_time(hours=14)
    [done] = await reconciliation(world).run()
    assert (done.compared, done.drifts) == (1, ())
    told = [("dispute", 1, -71), ("fee", 2, -70), ("payout", 1, -500)]
    assert [(one.kind, one.count, one.money.amount) for one in done.beside] == told


def transaction(source: object, amount: int, category: str, fee: int = 0) -> ProviderEntry:
    """What the first entry of a balance transaction is."""
    values = {"id": "txn_1", "object": "balance_transaction", "source": source, "amount": amount, "fee": fee}
    values |= {"currency": "eur", "created": 0, "reporting_category": category}
    return next(_entries(stripe.BalanceTransaction.construct_from(values, "sk_test_1")))


def test_what_stripe_books_is_told_apart() -> None:
    """Charges and refunds go by their own ids and amounts, what came back by its sign, all else by kind."""
    refund = {"object": "refund", "id": "re_1", "amount": 300, "currency": "usd"}
    charge = {"object": "charge", "id": "ch_1", "payment_intent": "pi_1", "amount_captured": 900, "currency": "usd"}
    found = [
        transaction(charge, 830, "charge", fee=30),
        transaction(refund, -280, "refund"),
        transaction(refund, 280, "refund_failure"),
        transaction({"object": "payout", "id": "po_1"}, -500, "payout"),
    ]
    told = [
        ("pi_1", 900, "USD", ""),
        ("re_1", -300, "USD", ""),
        ("re_1", 300, "USD", ""),
        ("txn_1", -500, "EUR", "payout"),
    ]
    assert [(one.provider_id, one.money.amount, one.money.currency, one.kind) for one in found] == told
