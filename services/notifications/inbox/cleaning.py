"""How old messages leave inboxes."""

from __future__ import annotations

from datetime import datetime, timedelta

from infra.limits import CLEAN_BATCH
from infra.postgres import Connection
from services.notifications.inbox.limits import MESSAGES_KEPT
from services.notifications.inbox.store import sql


async def clean_inboxes(connection: Connection, now: datetime) -> int:
    """Forget at most CLEAN_BATCH messages of before MESSAGES_KEPT; how many."""
    before = now - timedelta(seconds=MESSAGES_KEPT)
    return int(await sql.clean_inboxes(connection, before=before, batch=CLEAN_BATCH))
