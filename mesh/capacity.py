"""A process refuses what it cannot carry, at once and saying when to come again."""

from __future__ import annotations

from mesh import limits
from mesh.call import Call, Proceed
from mesh.contract import Method
from mesh.model import Exhausted


class Capacity:
    """At most `calls` at once, streams among them; CONCURRENT_CALLS if None."""

    def __init__(self, calls: int | None = None) -> None:
        self.free = limits.CONCURRENT_CALLS if calls is None else calls

    def bounded(self, method: Method, proceed: Proceed) -> Proceed:
        """Raises: Exhausted."""

        async def step(request: bytes, call: Call) -> bytes:
            if not self.free:
                raise Exhausted("This process has as many calls as it can carry.", retry_after=limits.OVERLOAD_PAUSE)
            self.free -= 1
            try:
                return await proceed(request, call)
            finally:
                self.free += 1

        return step
