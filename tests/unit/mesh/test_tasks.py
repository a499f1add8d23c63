"""Tasks end, also those that lose a cancellation."""

from __future__ import annotations

import asyncio

import pytest

from mesh import tasks
from mesh.tasks import ended, together


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "CANCEL_AGAIN", 0.01)


async def deaf(times: int, heard: list[int]) -> None:
    """Loses the first `times` cancellations, as asyncio.wait_for can."""
    while True:
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            heard.append(1)
            if len(heard) > times:
                raise


async def test_a_task_is_asked_until_it_ends() -> None:
    """A task that loses cancellations ends all the same, and one that fails meanwhile hurts nobody."""

    async def failing() -> None:
        raise LookupError

    heard: list[int] = []
    both = [asyncio.create_task(deaf(3, heard)), asyncio.create_task(failing())]
    await asyncio.sleep(0)
    await asyncio.wait_for(ended(*both), 5)
    assert both[0].cancelled()
    assert len(heard) == 4


async def test_who_ends_tasks_ends_them_though_cancelled() -> None:
    """Being cancelled meanwhile is no way to leave tasks behind; it takes effect afterwards."""
    heard: list[int] = []
    task = asyncio.create_task(deaf(3, heard))
    await asyncio.sleep(0)
    ending = asyncio.create_task(ended(task))
    await asyncio.sleep(0)
    ending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(ending, 5)
    assert task.cancelled()


async def test_when_one_fails_the_others_end() -> None:
    """The first error is raised once everything has ended."""
    heard: list[int] = []

    async def failing() -> None:
        await asyncio.sleep(0.01)
        raise LookupError("first")

    with pytest.raises(LookupError, match="first"):
        await asyncio.wait_for(together(deaf(2, heard), failing()), 5)
    assert len(heard) == 3


async def test_all_done_is_done() -> None:
    """Without an error it returns when the last is done."""
    done: list[int] = []

    async def work(number: int) -> None:
        await asyncio.sleep(0.01 * number)
        done.append(number)

    await together(*map(work, (2, 1, 3)))
    assert done == [1, 2, 3]


async def test_work_that_is_cancelled_ends_deaf_tasks_too() -> None:
    """A worker made of several tasks can be stopped though one of them loses a cancellation."""
    heard: list[int] = []
    working = asyncio.create_task(together(deaf(2, heard), deaf(0, [])))
    await asyncio.sleep(0.02)
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(working, 5)
    assert len(heard) == 3
