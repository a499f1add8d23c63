"""How often one looks for parked events."""

from __future__ import annotations

import asyncio
from typing import Any

from infra.events.parking import Parking


async def test_a_look_that_is_long_is_not_taken_often() -> None:
    """A look costs the database no more than a tenth of the time, however often somebody wakes the lane."""
    nobody: Any = None
    parking: Any = Parking(nobody, nobody)
    looks = 0

    async def look() -> bool:
        nonlocal looks
        looks += 1
        parking.wake()
        await asyncio.sleep(0.05)
        return False

    parking.retry_lane = look
    lane = asyncio.create_task(parking.run())
    await asyncio.sleep(0.9)
    lane.cancel()
    assert 1 <= looks <= 2
