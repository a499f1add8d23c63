"""A call ends by its deadline: the client's, but no later than the contract's."""

from __future__ import annotations

import asyncio
import time

from mesh import limits
from mesh.call import Call, Proceed
from mesh.contract import Method
from mesh.model import DeadlineExceeded


class Deadlines:
    """Ends calls within DEADLINE_TICK of their deadlines.

    One timer looks after all calls: one for each, as asyncio.timeout has it, costs more than the
    rest of a call's checks, and nearly none of them ever rings.
    """

    def __init__(self) -> None:
        self._running: set[_Running] = set()
        self._ticking: asyncio.AbstractEventLoop | None = None

    def bounded(self, method: Method, proceed: Proceed) -> Proceed:
        """Raises: DeadlineExceeded. For a stream it is the longest life."""

        async def step(request: bytes, call: Call) -> bytes:
            if call.remaining() <= 0:
                raise DeadlineExceeded
            mine = self._begin(call.deadline)
            try:
                return await proceed(request, call)
            except asyncio.CancelledError:
                if mine.cancelled_by_us_alone():
                    raise DeadlineExceeded from None
                raise
            except Exception as error:
                # Some libraries make an error of their own of being cancelled.
                if mine.expired:
                    raise DeadlineExceeded from error
                raise
            finally:
                self._running.discard(mine)
                if mine.expired:
                    mine.task.uncancel()

        return step

    def _begin(self, deadline: float) -> _Running:
        loop = asyncio.get_running_loop()
        task = asyncio.current_task(loop)
        assert task is not None
        mine = _Running(task, deadline)
        self._running.add(mine)
        if self._ticking is not loop:
            self._tick(loop)
        return mine

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        now = time.monotonic()
        for one in self._running:
            if one.deadline <= now and not one.expired:
                one.expired = True
                one.task.cancel()
        self._ticking = loop if self._running else None
        if self._running:
            loop.call_later(limits.DEADLINE_TICK, self._tick, loop)


class _Running:
    """A call under way, and how often its task had been asked to stop before."""

    __slots__ = ("_before", "deadline", "expired", "task")

    def __init__(self, task: asyncio.Task[object], deadline: float) -> None:
        self.task, self.deadline, self.expired = task, deadline, False
        self._before = task.cancelling()

    def cancelled_by_us_alone(self) -> bool:
        return self.expired and self.task.cancelling() <= self._before + 1
