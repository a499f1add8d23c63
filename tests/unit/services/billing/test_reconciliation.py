"""Once a day our books are held against the provider's."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.billing.domain.drift import DriftKind, drifts
from services.billing.domain.money import Money
from services.billing.domain.ports import ProviderEntry
from services.billing.domain.reconciliation import Reconciliation
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
    early = await reconciliation(world).run()
    assert early is not None and early.day == date(2026, 1, 30)
    await world.pass_time(hours=2)
    done = await reconciliation(world).run()
    assert done is not None
    assert (done.day, done.drifts) == (date(2026, 1, 31), ())
    assert await reconciliation(world).run() is None


async def test_planted_drift_is_told(world: World) -> None:
    """A charge that the provider lost, and one that we never heard of, are both found."""
    await world.subscribed()
    [(order, made)] = world.payments.charged.values()
    world.payments.charged = {"other": (order, replace(made, provider_id="pi_other"))}
    world.payments.times["pi_other"] = world.now
    await world.pass_time(hours=14)
    done = await reconciliation(world).run()
    assert done is not None
    assert {(one.kind, one.provider_id) for one in done.drifts} == {
        (DriftKind.MISSING_HERE, "pi_other"),
        (DriftKind.MISSING_THERE, made.provider_id),
    }
