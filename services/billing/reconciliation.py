"""The job that has our books held against the payment provider's once a day, and says aloud where they differ."""

from __future__ import annotations

import asyncio
import random

import structlog

from infra.limits import limit
from mesh.model import Error
from services.billing.domain.reconciliation import LAG, SETTLED_AFTER, Reconciliation

log = structlog.get_logger(__name__)

RECONCILE_LOOK = limit("RECONCILE_LOOK", 900.0, "s", "Between looks whether a day is to be compared; spread by half.")
limit("RECONCILE_AFTER", SETTLED_AFTER.total_seconds(), "s", "A day is compared when open payments were looked at.")
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
        """Compare the last day, if that was not done."""
        done = await self._reconciliation.run()
        if done is None:
            return
        for drift in done.drifts:
            here, there = ([f"{one.amount} {one.currency}" for one in side] for side in (drift.here, drift.there))
            log.error("payments_drift", kind=drift.kind, provider_id=drift.provider_id, here=here, there=there)
        log.info("reconciled", day=done.day.isoformat(), compared=done.compared, drifts=len(done.drifts))
