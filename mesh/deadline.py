"""A call ends by its deadline: the client's, but no later than the contract's."""

from __future__ import annotations

import asyncio

from mesh.call import Call, Proceed
from mesh.contract import Method
from mesh.model import DeadlineExceeded


def bounded(method: Method, proceed: Proceed) -> Proceed:
    """Raises: DeadlineExceeded. For a stream it is the longest life."""

    async def step(request: bytes, call: Call) -> bytes:
        left = call.remaining()
        if left <= 0:
            raise DeadlineExceeded
        limit = _Limit(left)
        try:
            return await proceed(request, call)
        except asyncio.CancelledError:
            if limit.alone():
                raise DeadlineExceeded from None
            raise
        finally:
            limit.over()

    return step


class _Limit:
    """Cancels the task after `seconds`: what asyncio.timeout does, at a fraction of its price in each call."""

    __slots__ = ("_before", "_expired", "_task", "_timer")

    def __init__(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        task = asyncio.current_task(loop)
        assert task is not None
        self._task, self._before, self._expired = task, task.cancelling(), False
        self._timer = loop.call_later(seconds, self._expire)

    def _expire(self) -> None:
        self._expired = True
        self._task.cancel()

    def alone(self) -> bool:
        """Whether the task was cancelled by us, and by no one else as well."""
        return self._expired and self._task.cancelling() <= self._before + 1

    def over(self) -> None:
        """Leave the task as it was."""
        self._timer.cancel()
        if self._expired:
            self._task.uncancel()
