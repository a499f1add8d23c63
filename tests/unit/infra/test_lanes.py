"""A worker that does what is due."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

from infra.lanes import Lanes
from mesh.model import Unavailable
from mesh.tasks import ended


@contextlib.asynccontextmanager
async def running(lanes: Lanes) -> AsyncIterator[None]:
    task = asyncio.create_task(lanes.run())
    try:
        yield
        assert not task.done()
    finally:
        await ended(task)


async def until(true: Callable[[], bool]) -> None:
    for _ in range(5000):
        if true():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("it never came true")


async def test_some_things_are_done_at_once() -> None:
    """As many as there are lanes."""
    under_way: list[int] = []

    async def do() -> bool:
        under_way.append(1)
        await asyncio.sleep(3600)
        return True

    async with running(Lanes("working", do, 3, 0.001)):
        await until(lambda: len(under_way) == 3)
        await asyncio.sleep(0.02)
        assert len(under_way) == 3


async def test_all_that_is_due_is_done_before_it_rests() -> None:
    """Then it looks again when it is woken, long before its pause is over."""
    due, done = 5, 0

    async def do() -> bool:
        nonlocal done
        if done == due:
            return False
        done += 1
        return True

    lanes = Lanes("working", do, 2, 3600)
    async with running(lanes):
        await until(lambda: done == 5)
        due = 7
        await asyncio.sleep(0.02)
        assert done == 5
        lanes.wake()
        await until(lambda: done == 7)


async def test_what_a_wake_missed_is_found_after_a_pause() -> None:
    """Also after failures, foreseen or not: none of them ends the worker."""
    looks = 0

    async def do() -> bool:
        nonlocal looks
        looks += 1
        if looks < 10:
            raise Unavailable if looks % 2 else TypeError
        return False

    async with running(Lanes("working", do, 1, 0.001)):
        await until(lambda: looks > 12)


async def test_whoever_is_away_is_not_asked_sooner_for_being_woken() -> None:
    """However often something else becomes due meanwhile: each lane rests after a failure that was foreseen."""
    asked = 0

    async def do() -> bool:
        nonlocal asked
        asked += 1
        raise Unavailable

    lanes = Lanes("working", do, 2, 3600)
    async with running(lanes):
        for _ in range(50):
            lanes.wake()
            await asyncio.sleep(0.001)
    assert asked == 2
