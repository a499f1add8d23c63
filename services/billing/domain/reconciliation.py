"""Once a day our books are held against the provider's: money that moved is in both, or somebody is told."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta

from services.billing.domain.drift import Reconciled, drifts
from services.billing.domain.ports import Payments
from services.billing.domain.storage import Store

SETTLED_AFTER = timedelta(hours=2)
"""After the end of a day, until what moved in it is in our books: open payments are looked at every hour."""
LAG = timedelta(days=3)
"""How long before our books the provider's may have had it, after an outage of ours."""


class Reconciliation:
    """The use case."""

    def __init__(self, store: Store, payments: Payments, now: Callable[[], datetime]) -> None:
        self.store = store
        self.payments = payments
        self.now = now

    async def run(self) -> Reconciled | None:
        """Compare the last day that is settled, unless that was done. Raises: Unavailable."""
        now = self.now()
        day = (now - SETTLED_AFTER).astimezone(UTC).date() - timedelta(days=1)
        if await self.store.is_reconciled(day):
            return None
        since = datetime.combine(day, time(), UTC)
        ours, theirs = await self.store.moved(since - LAG), await self.payments.journal(since - LAG)
        found = tuple(drifts(ours, theirs, since, since + timedelta(days=1)))
        done = Reconciled(day, now, sum(since <= one.time < since + timedelta(days=1) for one in theirs), found)
        await self.store.keep_reconciled(done)
        return done
