"""Background work."""

from __future__ import annotations

import asyncio

import pytest

from mesh import workers
from tests.unit.mesh.echo import until


class Worker:
    """Fails each time in another way."""

    def __init__(self) -> None:
        self.runs = 0

    async def run(self) -> None:
        self.runs += 1
        if self.runs == 1:
            raise ValueError
        if self.runs == 2:
            raise asyncio.CancelledError
        if self.runs == 3:
            return
        await asyncio.sleep(60)


async def test_a_worker_is_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that fails, ends or is cancelled from within runs again; cancelled from outside it stops."""
    monkeypatch.setattr(workers, "FIRST_PAUSE", 0.001)
    worker = Worker()
    task = asyncio.ensure_future(workers.kept_alive(worker.run))
    await until(lambda: worker.runs == 4)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert worker.runs == 4
