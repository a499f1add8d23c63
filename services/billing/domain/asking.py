"""Asking the provider by ourselves: what became of each charge and refund that is not decided yet.

A question is a row that is committed with what it is about. Who claims it asks outside of any transaction, so that a
slow provider holds no connection to the database; who dies leaves it to the next one, once their time is over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from mesh.model import Error, Unavailable
from services.billing.domain.charging import BILLING, Charges, Refunds
from services.billing.domain.entities import LIVE, Question
from services.billing.domain.storage import Store

WITHIN = timedelta(seconds=20)
"""For one question: several requests, each with its own time."""
LEASE = timedelta(seconds=30)
"""Then whoever was asking is dead."""
AGAIN = timedelta(seconds=10)
"""Until a provider that did not answer is asked again."""
CHECK_EVERY = timedelta(hours=1)
"""Between two looks at a payment that is not decided, should no webhook say so."""


@dataclass(frozen=True)
class Asking:
    """The use case."""

    store: Store
    charges: Charges
    refunds: Refunds
    now: Callable[[], datetime]

    async def ask_next(self) -> bool:
        """Settle the charge or refund that is to be asked about; whether there was one. Raises: Unavailable.

        What nobody foresaw is raised too, and asked again much later: others do not meet it.
        """
        now = self.now()
        until = now + LEASE
        question = await self.store.claim_question(now, until)
        if question is None:
            return False
        try:
            undecided = await self._is_undecided(question)
        except Exception as error:
            pause = AGAIN if isinstance(error, Error) else CHECK_EVERY
            await self.store.answered(question.object_id, until, self.now() + pause)
            raise
        await self.store.answered(question.object_id, until, self.now() + CHECK_EVERY if undecided else None)
        return True

    async def _is_undecided(self, question: Question) -> bool:
        """Settle it; whether it is to be asked about again. Raises: Unavailable, also if it takes too long."""
        caller = replace(BILLING, request_id=question.request_id, traceparent=question.traceparent)
        try:
            async with asyncio.timeout(WITHIN.total_seconds()):
                if question.object_id.startswith("refund_"):
                    return (await self.refunds.settle(question.object_id)).state in LIVE
                return (await self.charges.settle(question.object_id, caller)).charge.live
        except TimeoutError as error:
            raise Unavailable("The payment provider takes too long.") from error
