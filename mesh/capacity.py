"""A process refuses what it cannot carry, at once and saying when to come again."""

from __future__ import annotations

from mesh import limits
from mesh.call import Call, Proceed
from mesh.contract import Method
from mesh.model import Exhausted


class Capacity:
    """At most `calls` at once; CONCURRENT_CALLS if None. Streams, which stay, have a count of their own."""

    def __init__(self, calls: int | None = None, streams: int | None = None) -> None:
        self.calls = _Room("calls", limits.CONCURRENT_CALLS if calls is None else calls)
        self.streams = _Room("streams", limits.CONCURRENT_STREAMS if streams is None else streams)

    def bounded(self, method: Method, proceed: Proceed) -> Proceed:
        """Raises: Exhausted."""
        room = self.streams if method.server_streaming else self.calls

        async def step(request: bytes, call: Call) -> bytes:
            if not room.free:
                told = f"This process has as many {room.of} as it can carry."
                raise Exhausted(told, retry_after=limits.OVERLOAD_PAUSE)
            room.free -= 1
            try:
                return await proceed(request, call)
            finally:
                room.free += 1

        return step


class _Room:
    def __init__(self, of: str, free: int) -> None:
        self.of, self.free = of, free
