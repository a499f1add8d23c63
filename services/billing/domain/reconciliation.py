"""Once a day our books are held against the provider's: money that moved is in both, or somebody is told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, time, timedelta

from services.billing.domain.drift import Reconciled, beside, drifts
from services.billing.domain.ports import Payments, ProviderEntry
from services.billing.domain.storage import Store

SETTLED_AFTER = timedelta(hours=2)
"""After the end of a day, until what moved in it is in our books: open payments are looked at every hour."""
LAG = timedelta(days=3)
"""How long before our books the provider's may have had it, after an outage of ours."""
DAYS_AT_ONCE = 7
"""Days that are made up for at one look: their books are in memory together."""
DAY = timedelta(days=1)


class Reconciliation:
    """The use case."""

    def __init__(self, store: Store, payments: Payments, now: Callable[[], datetime]) -> None:
        self.store = store
        self.payments = payments
        self.now = now

    async def run(self) -> Sequence[Reconciled]:
        """Compare each settled day since the last one that was compared, the oldest first, and at most so many.

        Raises: Unavailable.
        """
        days = await self._days()
        if not days:
            return ()
        since = _start(days[0]) - LAG
        ours, theirs = await self.store.moved(since), await self.payments.journal(since)
        done = [self._compared(day, ours, theirs) for day in days]
        for one in done:
            await self.store.keep_reconciled(one)
        return done

    async def _days(self) -> Sequence[date]:
        settled = (self.now() - SETTLED_AFTER).astimezone(UTC).date() - DAY
        first = last + DAY if (last := await self.store.last_reconciled()) else settled
        return [first + place * DAY for place in range(min((settled - first).days + 1, DAYS_AT_ONCE))]

    def _compared(self, day: date, ours: Sequence[ProviderEntry], theirs: Sequence[ProviderEntry]) -> Reconciled:
        since, until = _start(day), _start(day + DAY)
        of_day = [one for one in theirs if since <= one.time < until]
        common = [one for one in theirs if not one.kind]
        return Reconciled(
            day=day,
            finish_time=self.now(),
            compared=sum(not one.kind for one in of_day),
            drifts=tuple(drifts(ours, common, since, until)),
            beside=tuple(beside(of_day)),
        )


def _start(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
