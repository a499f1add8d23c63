"""A sender as a process of its own, to be killed.

`python -m tests.integration.notifications.worker [POINT]`; at POINT it ends itself with SIGKILL.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from datetime import UTC, datetime
from typing import Any, cast

from infra.postgres import open_database
from mesh import lines
from services.notifications import sender as senders
from services.notifications.domain import sending as rules
from services.notifications.domain.deliveries import Addressee, Delivery
from services.notifications.domain.judging import Judging
from services.notifications.domain.unsubscribing import Links
from services.notifications.letters import Templates
from services.notifications.main import Settings
from services.notifications.postman import Postman
from services.notifications.preferences_store import PostgresPreferences
from services.notifications.store import PostgresStore

LEASE = 1.0
"""Short, so that a test need not wait for half a minute."""


class Everybody:
    """In the place of auth and users: knows everybody's address."""

    async def addressee(self, delivery: Delivery) -> Addressee | None:
        return Addressee(
            email=f"{delivery.delivery_id}@example.com",
            kind=delivery.kind,
            user_id=delivery.user_id,
            create_time=delivery.create_time,
            variables=delivery.variables,
        )


async def die(*_: object, **__: object) -> Any:
    """End at once, as in a power failure."""
    os.kill(os.getpid(), signal.SIGKILL)


def now() -> datetime:
    return datetime.now(UTC)


async def send(settings: Settings, point: str) -> None:
    """Be the sender of notifications."""
    if point == "claimed-not-sent":
        Postman.send = die  # type: ignore[method-assign]
    if point == "taken-not-marked":
        PostgresStore.settle = die  # type: ignore[method-assign]
    vars(rules)["DELIVERY_LEASE"] = vars(senders)["DELIVERY_LEASE"] = LEASE
    async with open_database(settings) as database:
        store = PostgresStore(database)
        judging = Judging(store, PostgresPreferences(database), now)
        postman, links = Postman(settings.smtp_servers), Links(b"key", "http://x")
        letters, nobody = Templates(url="http://x"), cast(Any, None)
        sending = rules.Sending(store, judging, Everybody(), letters, postman, links, nobody, b"key", now)
        await senders.Sender(sending).run()


if __name__ == "__main__":
    lines.configure("info", lines.Lines())
    asyncio.run(send(Settings(), (*sys.argv[1:], "")[0]))  # type: ignore[call-arg]
