"""A worker that does what is due in the database, several things at once."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import structlog

from mesh.model import Error
from mesh.tasks import together

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Lanes:
    """Do what is due until there is nothing, and look again when woken or after `poll` seconds, give or take a half.

    `do_next` does one thing and says whether there was one. What it raises ends nothing; the log has it as
    `<what>_failed`, after which a lane rests even if woken, or, if nobody foresaw it, as the error `<what>_broken`.
    Several processes may run these each.
    """

    what: str
    do_next: Callable[[], Awaitable[bool]]
    lanes: int
    poll: float
    _woken: asyncio.Event = field(default_factory=asyncio.Event)

    def wake(self) -> None:
        """Say that something may be due."""
        self._woken.set()

    async def run(self) -> None:
        """Work until cancelled."""
        await together(*(self._lane() for _ in range(self.lanes)))

    async def _lane(self) -> None:
        while True:
            self._woken.clear()
            try:
                while await self.do_next():
                    pass
            except Error as error:
                log.warning(f"{self.what}_failed", exc_info=error)
                # Whoever is away is not back because more is due, and a busy process is woken all the time.
                await asyncio.sleep(self._pause())
                continue
            except Exception as error:
                log.error(f"{self.what}_broken", exc_info=error)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._pause()):
                    await self._woken.wait()

    def _pause(self) -> float:
        return self.poll * random.uniform(0.5, 1.5)
