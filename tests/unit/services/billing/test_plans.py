"""What plans cost, and when their periods begin."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.billing.domain.plans import Interval, period_start
from tests.fakes.billing import PLANS

METERED, SEATS = PLANS[0], PLANS[2]


@pytest.mark.parametrize(("used", "cost"), [(0, 0), (1, 50), (1000, 50), (1001, 100), (2500, 150)])
def test_what_has_begun_is_paid(used: int, cost: int) -> None:
    """A unit count that has begun is paid whole."""
    assert METERED.price(used) == cost


def test_each_seat_costs_the_same() -> None:
    """So many seats cost so many times the price."""
    assert SEATS.price(7) == 7 * SEATS.unit_amount


def test_the_last_day_of_a_month_comes_back() -> None:
    """A subscription of the 31st is renewed on the last day of shorter months, and on the 31st again after them."""
    anchor = datetime(2027, 12, 31, 8, 30, tzinfo=UTC)
    starts = [period_start(anchor, Interval.MONTH, place) for place in range(4)]
    assert [(start.month, start.day) for start in starts] == [(12, 31), (1, 31), (2, 29), (3, 31)]
    assert {start.time() for start in starts} == {anchor.time()}


@given(
    st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1)).map(lambda at: at.replace(tzinfo=UTC)),
    st.sampled_from(Interval),
    st.integers(0, 60),
)
def test_periods_follow_each_other(anchor: datetime, interval: Interval, place: int) -> None:
    """Each period begins after the one before, and as many months later as the interval has."""
    before, after = (period_start(anchor, interval, place + step) for step in (0, 1))
    assert before < after
    assert (after.year - before.year) * 12 + after.month - before.month == interval.months
