"""The job that has our books held against the payment provider's once a day, and says aloud where they differ."""

from __future__ import annotations

import asyncio
import random

import structlog

from infra.limits import limit
from mesh.model import Error
from services.billing.domain.drift import Reconciled
from services.billing.domain.reconciliation import DAYS_AT_ONCE, LAG, SETTLED_AFTER, Reconciliation

log = structlog.get_logger(__name__)

RECONCILE_LOOK = limit("RECONCILE_LOOK", 900.0, "s", "Between looks whether a day is to be compared; spread by half.")
limit("RECONCILE_AFTER", SETTLED_AFTER.total_seconds(), "s", "A day is compared when open payments were looked at.")
limit("RECONCILE_DAYS", DAYS_AT_ONCE, "days", "Made up for at one look after an outage; their books are in memory.")
limit("RECONCILE_LAG", LAG.total_seconds(), "s", "Our books may have a movement so much later, after an outage.")


class Reconciler:
    """Looks now and then whether a day is to be compared; of several processes that do, one keeps the result."""

    def __init__(self, reconciliation: Reconciliation) -> None:
        self._reconciliation = reconciliation

    async def run(self) -> None:
        """Compare until cancelled."""
        while True:
            await asyncio.sleep(RECONCILE_LOOK * random.uniform(0.5, 1.5))
            try:
                await self.look()
            except Error as error:
                log.warning("reconciliation_failed", exc_info=error)

    async def look(self) -> None:
        """Compare the days that are due, and tell of each."""
        for done in await self._reconciliation.run():
            _tell(done)


def _tell(done: Reconciled) -> None:
    day = done.day.isoformat()
    for drift in done.drifts:
        here, there = ([f"{one.amount} {one.currency}" for one in side] for side in (drift.here, drift.there))
        log.error("payments_drift", day=day, kind=drift.kind, provider_id=drift.provider_id, here=here, there=there)
    for one in done.beside:
        amount = f"{one.money.amount} {one.money.currency}"
        log.info("payments_beside", day=day, kind=one.kind, count=one.count, amount=amount)
    log.info("reconciled", day=day, compared=done.compared, drifts=len(done.drifts))
