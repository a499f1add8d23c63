"""Plans: what can be subscribed to, for how long at a time, and for how much."""

from __future__ import annotations

import calendar
import enum
from dataclasses import dataclass
from datetime import datetime


class Interval(enum.StrEnum):
    """How long a period lasts."""

    MONTH = "month"
    YEAR = "year"

    @property
    def months(self) -> int:
        """The same in months."""
        return 1 if self is Interval.MONTH else 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A price for a product: `unit_amount` minor units of `currency` for each `unit_count` units in a period.

    A metered plan is paid afterwards, by what was used; any other in advance, by its quantity.
    """

    plan_id: str
    product: str
    display_name: str
    interval: Interval
    currency: str
    unit: str
    unit_amount: int
    unit_count: int
    metered: bool
    trial_days: int

    def price(self, quantity: int) -> int:
        """What so many units cost in one period: a unit count that has begun is paid whole."""
        return -(-quantity // self.unit_count) * self.unit_amount

    def units(self, amount: int) -> int:
        """How many units cost at most so much; a unit that costs nothing counts as if it did."""
        return amount // max(self.unit_amount, 1) * self.unit_count


def period_start(anchor: datetime, interval: Interval, place: int) -> datetime:
    """When period number `place` begins; on the last day of a month that has not the anchor's day.

    Counted from the anchor each time, so that a subscription of the 31st returns to it after February.
    """
    year, month = divmod(anchor.year * 12 + anchor.month - 1 + place * interval.months, 12)
    day = min(anchor.day, calendar.monthrange(year, month + 1)[1])
    return anchor.replace(year=year, month=month + 1, day=day)
