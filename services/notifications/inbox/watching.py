"""Who watches which inbox, and one look at the database for all of them.

The look is a poll: it needs no box but the one that has the messages, cannot lose one, and serves watchers
of every replica alike (docs/adr/0017-inbox-by-polling.md says why).
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from contextlib import contextmanager

from mesh.model import UserId

Versions = Callable[[Collection[UserId]], Awaitable[Mapping[UserId, int]]]


class Watching:
    """Rings the bells of inboxes whose version has changed. `every`: seconds between two looks."""

    def __init__(self, versions: Versions, every: float) -> None:
        self._versions, self._every = versions, every
        self._bells: defaultdict[UserId, set[_Bell]] = defaultdict(set)
        self._seen: dict[UserId, int] = {}

    @contextmanager
    def bell(self, user_id: UserId) -> Iterator[_Bell]:
        """A bell for one watcher, for as long as it watches."""
        bell = _Bell()
        self._bells[user_id].add(bell)
        try:
            yield bell
        finally:
            self._bells[user_id].discard(bell)
            if not self._bells[user_id]:
                del self._bells[user_id]
                self._seen.pop(user_id, None)

    async def run(self) -> None:
        """Look again and again until cancelled. Raises: model.Error when the database is away."""
        while True:
            await asyncio.sleep(self._every)
            await self.look()

    async def look(self) -> None:
        """One look for all who watch."""
        if not self._bells:
            return
        for user_id, version in (await self._versions(tuple(self._bells))).items():
            if self._seen.get(user_id) != version and user_id in self._bells:
                self._seen[user_id] = version
                for bell in self._bells[user_id]:
                    bell.ring()


class _Bell:
    def __init__(self) -> None:
        self._rung = asyncio.Event()
        self.ring, self.listen = self._rung.set, self._rung.clear

    async def rung(self) -> None:
        await self._rung.wait()
