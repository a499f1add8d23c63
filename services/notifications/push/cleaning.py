"""How old pushes leave."""

from __future__ import annotations

from datetime import datetime, timedelta

from infra.limits import CLEAN_BATCH
from infra.postgres import Connection
from services.notifications.push.limits import PUSHES_KEPT
from services.notifications.push.store import sql


async def clean_pushes(connection: Connection, now: datetime) -> int:
    """Forget at most CLEAN_BATCH pushes of before PUSHES_KEPT; how many."""
    before = now - timedelta(seconds=PUSHES_KEPT)
    return int(await sql.clean_pushes(connection, before=before, batch=CLEAN_BATCH))
