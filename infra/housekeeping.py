"""Clean-up: what every service's schema keeps for a time and then deletes, a bounded batch at once."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import structlog

from infra import idempotency, limits
from infra.events.statements import inbox, outbox
from infra.postgres import Connection, Database
from mesh import model

log = structlog.get_logger(__name__)
Clean = Callable[[Connection, datetime], Awaitable[int]]


async def _outbox(connection: Connection, now: datetime) -> int:
    return int(await outbox.clean(connection, **_old_events(now, limits.OUTBOX_KEEP)))


async def _inbox(connection: Connection, now: datetime) -> int:
    return int(await inbox.clean_inbox(connection, **_old_events(now, limits.INBOX_KEEP)))


async def _dead(connection: Connection, now: datetime) -> int:
    cutoff = now - timedelta(seconds=limits.DEAD_KEEP)
    return int(await inbox.clean_dead(connection, cutoff=cutoff, batch=limits.CLEAN_BATCH))


async def _requests(connection: Connection, now: datetime) -> int:
    cutoff = now - timedelta(seconds=limits.IDEMPOTENCY_KEEP)
    return int(await idempotency.sql.clean(connection, cutoff=cutoff, batch=limits.CLEAN_BATCH))


def _old_events(now: datetime, keep: float) -> dict[str, object]:
    cutoff = now - timedelta(seconds=keep)
    return {"born_before": model.new_id("event", cutoff.timestamp()), "cutoff": cutoff, "batch": limits.CLEAN_BATCH}


class Housekeeping:
    """The clean-up of one service's schema; `more` are a service's own, each deleting at most CLEAN_BATCH rows."""

    def __init__(self, database: Database, *more: Clean) -> None:
        self._database = database
        self._cleans = (_outbox, _inbox, _dead, _requests, *more)

    async def run(self) -> None:
        """Clean up until cancelled."""
        while True:
            await asyncio.sleep(limits.CLEAN_EVERY * random.uniform(0.5, 1.5))
            try:
                await self.clean(datetime.now(UTC))
            except model.Error as error:
                log.warning("cleanup_failed", exc_info=error)

    async def clean(self, now: datetime) -> int:
        """Delete everything that is too old; how many rows. Raises: model.Error."""
        return sum([await self._drain(clean, now) for clean in self._cleans])

    async def _drain(self, clean: Clean, now: datetime) -> int:
        total = 0
        while True:
            async with self._database.connection() as connection:
                deleted = await clean(connection, now)
            total += deleted
            if deleted < limits.CLEAN_BATCH:
                return total
