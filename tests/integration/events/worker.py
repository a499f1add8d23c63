"""A relay or a consumer as a process of its own, to be killed.

`python -m tests.integration.events.worker ROLE [POINT]`; at POINT it ends itself with SIGKILL.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import Any

from nats.aio.msg import Msg

from infra.events import statements
from infra.events.bus import open_bus
from infra.events.consumer import Consumer
from infra.events.relay import Relay
from infra.postgres import open_database
from infra.settings import ServiceSettings
from mesh import lines
from tests.integration.events.story import noting


async def die(*_: object, **__: object) -> Any:
    """End at once, as in a power failure."""
    os.kill(os.getpid(), signal.SIGKILL)


async def publish(settings: ServiceSettings, point: str) -> None:
    """Be the relay of auth."""
    if point == "published-not-marked":
        statements.outbox.mark = die
    async with open_database(settings) as database, open_bus(settings) as bus:
        await Relay(database, bus, "auth").run()


async def consume(settings: ServiceSettings, point: str) -> None:
    """Be the consumer of users."""
    if point == "effect-not-acknowledged":
        Msg.ack = die  # type: ignore[method-assign]
    async with open_database(settings) as database, open_bus(settings) as bus:
        subscriptions = noting(database, after=die if point == "effect-not-committed" else None)
        await Consumer(database, bus, "users", subscriptions).run()


if __name__ == "__main__":
    role, point = (*sys.argv[1:], "")[:2]
    # As a service does: structlog's own way draws each traceback for seconds, in which nothing is consumed.
    lines.configure("info", lines.Lines())
    asyncio.run({"relay": publish, "consumer": consume}[role](ServiceSettings(), point))  # type: ignore[call-arg]
