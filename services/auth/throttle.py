"""Attempts, counted in Valkey so that all processes know them, and in memory when it is gone.

Attempts are counted by account and address, so that an attacker slows down and the owner at another
address does not. An account that has been attacked from many addresses takes attempts only from
addresses that have logged in before (NIST SP 800-63B-4, 3.2.2: at most 100 failures in a row); a
log-in there, or a new password by mail, opens it to all again.
"""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable

from infra.cache import Cache
from infra.limits import limit
from mesh.model import Unavailable
from services.auth.domain.errors import TooManyAttempts

FAILURES = limit("LOG_IN_FAILURES", 10, "", "In a row from one address for one account; a person needs fewer.")
FAILURES_WINDOW = limit("LOG_IN_FAILURES_WINDOW", 900.0, "s", "After which such failures are forgotten.")
ACCOUNT_FAILURES = limit("ACCOUNT_FAILURES", 100, "", "In a row from all addresses: NIST's bound.")
ACCOUNT_WINDOW = limit(
    "ACCOUNT_FAILURES_WINDOW", 30 * 86400.0, "s", "Or until a success: so long only known addresses may try."
)
KNOWN_FOR = limit("KNOWN_ADDRESS", 30 * 86400.0, "s", "An address that logged in stays known so long.")
LOCAL_COUNTERS = limit("LOCAL_COUNTERS", 10_000, "", "Kept in memory while Valkey is gone, oldest forgotten.")


class Throttle:
    """A `services.auth.domain.ports.Throttle`."""

    def __init__(self, cache: Cache, clock: Callable[[], float] = time.monotonic) -> None:
        self._cache, self._local = cache, _Local(clock)

    async def begin(self, account: str, address: str) -> None:
        """Count one attempt before it is judged: a hundred at once are a hundred. Raises: TooManyAttempts."""
        who = _name(account)
        here, everywhere = f"tries:{who}:{address}", f"tries:{who}"
        if await self._count(here, FAILURES_WINDOW) > FAILURES:
            raise TooManyAttempts(retry_after=await self._left(here))
        tried = await self._count(everywhere, ACCOUNT_WINDOW)
        if tried > ACCOUNT_FAILURES and not await self._known(who, address):
            raise TooManyAttempts(retry_after=await self._left(everywhere))

    async def unjudged(self, account: str, address: str) -> None:
        """Take back an attempt that nobody could judge: a busy platform locks nobody out."""
        who = _name(account)
        for key, window in ((f"tries:{who}:{address}", FAILURES_WINDOW), (f"tries:{who}", ACCOUNT_WINDOW)):
            try:
                await self._cache.uncount(key, window)
            except Unavailable:
                self._local.uncount(key)

    async def succeeded(self, account: str, address: str) -> None:
        """Forget the attempts; the address is known from now on."""
        who = _name(account)
        here, everywhere = f"tries:{who}:{address}", f"tries:{who}"
        self._local.forget(here, everywhere)
        try:
            await self._cache.forget(here, everywhere)
            await self._cache.put_new(f"known:{who}:{address}", "1", KNOWN_FOR)
        except Unavailable:
            return

    async def _count(self, key: str, window: float) -> int:
        try:
            return await self._cache.count(key, window)
        except Unavailable:
            return self._local.count(key, window)

    async def _left(self, key: str) -> float:
        try:
            return await self._cache.left(key)
        except Unavailable:
            return FAILURES_WINDOW

    async def _known(self, who: str, address: str) -> bool:
        try:
            # What `put_new` stored reads as a count of one.
            return await self._cache.counted([f"known:{who}:{address}"]) == [1]
        except Unavailable:
            return False


class _Local:
    """Counters of this process alone."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._counts: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def count(self, key: str, window: float) -> int:
        counted, until = self._counts.get(key, (0, 0.0))
        if until <= self._clock():
            counted, until = 0, self._clock() + window
        self._counts[key] = (counted + 1, until)
        if len(self._counts) > LOCAL_COUNTERS:
            self._counts.popitem(last=False)
        return counted + 1

    def uncount(self, key: str) -> None:
        if found := self._counts.get(key):
            self._counts[key] = (found[0] - 1, found[1])

    def forget(self, *keys: str) -> None:
        for key in keys:
            self._counts.pop(key, None)


def _name(account: str) -> str:
    """An address is personal data: counters know its hash."""
    return hashlib.sha256(account.encode()).hexdigest()[:32]
