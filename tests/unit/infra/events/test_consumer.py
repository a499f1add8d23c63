"""What a consumer does with deliveries while it can take none."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import structlog
from tulle.auth.v1 import events_pb2

from infra.events.bus import Bus
from infra.events.consumer import Consumer
from infra.events.received import Received
from mesh import model
from mesh.contract import contract


class Delivery:
    """A message that the broker brings for the first time."""

    subject = "tulle.auth.account_created"
    metadata = SimpleNamespace(num_delivered=1)
    data = b""

    def __init__(self) -> None:
        self.delay: float | None = None

    async def nak(self, delay: float) -> None:
        self.delay = delay


async def test_a_database_that_is_away_is_not_asked_for_each_delivery() -> None:
    """A lane that failed rests before the next delivery, longer each time: what waits in it fills no log."""

    async def handler(event: Received) -> None:
        raise AssertionError

    async def away(message: object) -> None:
        raise model.Unavailable

    nobody: Any = None
    consumer: Any = Consumer(nobody, Bus("", "users", ""), "users", {events_pb2.AccountCreated: handler}, contract())
    consumer.take = away
    lane: asyncio.Queue[Delivery] = asyncio.Queue()
    deliveries = [Delivery() for _ in range(64)]
    for delivery in deliveries:
        lane.put_nowait(delivery)
    with structlog.testing.capture_logs() as told:
        work = asyncio.create_task(consumer._work(lane))
        await asyncio.sleep(0.5)
        work.cancel()
    given_back = [delivery for delivery in deliveries if delivery.delay is not None]
    assert 1 <= len(given_back) <= 5
    assert len(told) == len(given_back)
