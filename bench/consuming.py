"""`python -m bench.consuming FOLDER PORT COUNT`: a consumer with an empty handler, in a process of its own.

Says `ready` when it runs, and after COUNT events as JSON when each was handled: by the machine's monotonic
clock, in seconds, which is the same in all processes.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path

import uvloop
from tulle.auth.v1 import events_pb2

from bench.events import Site, quiet
from infra.events.consumer import Consumer
from infra.events.received import Received
from mesh.tasks import ended


async def consume(site: Site, count: int) -> None:
    """Until so many events were handled."""
    handled: dict[str, float] = {}
    all_handled = asyncio.Event()

    async def handle(event: Received) -> None:
        handled[event.event_id] = time.monotonic()
        if len(handled) == count:
            all_handled.set()

    async with site.open("users") as (database, bus):
        consumer = Consumer(database, bus, "users", {events_pb2.AccountCreated: handle})
        running = asyncio.ensure_future(consumer.run())
        await asyncio.sleep(0.5)  # until it has asked for the first ones
        print("ready", flush=True)
        await all_handled.wait()
        await ended(running)
    print(json.dumps(handled), flush=True)


if __name__ == "__main__":
    quiet()
    uvloop.run(consume(Site(Path(sys.argv[1]), int(sys.argv[2])), int(sys.argv[3])))
