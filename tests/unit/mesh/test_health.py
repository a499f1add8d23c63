"""Health, true and steady."""

from __future__ import annotations

import asyncio

import pytest

from mesh import limits
from mesh.health import Health


class Box:
    """A box of the service's own."""

    broken = False
    hangs = False

    async def ready(self) -> None:
        if self.hangs:
            await asyncio.sleep(60)
        if self.broken:
            raise ConnectionError


async def looks(health: Health, times: int) -> list[bool]:
    """What is said after each of so many looks."""
    said = []
    for _ in range(times):
        await health.look()
        said.append(health.ready)
    return said


async def test_it_is_not_ready_before_it_has_looked() -> None:
    """Nothing is claimed before the boxes have answered; then at once."""
    health = Health([Box().ready])
    assert not health.ready
    assert await looks(health, 1) == [True]


async def test_one_hiccup_takes_no_traffic_away() -> None:
    """READY_FAILURES looks in a row make it not ready, READY_SUCCESSES ready again."""
    box = Box()
    health = Health([box.ready])
    await health.look()
    box.broken = True
    assert await looks(health, limits.READY_FAILURES) == [True] * (limits.READY_FAILURES - 1) + [False]
    box.broken = False
    assert await looks(health, limits.READY_SUCCESSES) == [False] * (limits.READY_SUCCESSES - 1) + [True]


async def test_a_flapping_box_changes_nothing() -> None:
    """A failure now and then between successes does not add up."""
    box = Box()
    health = Health([box.ready])
    await health.look()
    for broken in (True, False) * 5:
        box.broken = broken
        assert await looks(health, 1) == [True]


async def test_a_box_that_hangs_is_no_box(monkeypatch: pytest.MonkeyPatch) -> None:
    """A look ends in time, and a box that does not answer by then has failed."""
    monkeypatch.setattr(limits, "READY_TIMEOUT", 0.01)
    box = Box()
    box.hangs = True
    health = Health([box.ready])
    assert await looks(health, 2) == [False, False]


async def test_who_watches_hears_of_changes() -> None:
    """A watcher hears the state now and every change of it, and there may be several."""
    box = Box()
    health = Health([box.ready])
    heard: list[list[bool]] = [[], []]

    async def watch(mine: list[bool]) -> None:
        async for ready in health.watch():
            mine.append(ready)  # noqa: PERF401 (what is heard counts at once)

    watching = [asyncio.ensure_future(watch(mine)) for mine in heard]
    await asyncio.sleep(0)
    await health.look()
    await asyncio.sleep(0.01)
    watching[0].cancel()
    await asyncio.sleep(0.01)
    await health.stop()
    await asyncio.sleep(0.01)
    watching[1].cancel()
    assert heard == [[False, True], [False, True, False]]


async def test_who_goes_is_not_ready() -> None:
    """After stop nothing makes it ready again."""
    health = Health()
    await health.look()
    await health.stop()
    assert await looks(health, 3) == [False] * 3
