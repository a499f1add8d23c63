"""Counting attempts, with Valkey and without."""

from __future__ import annotations

from typing import Any

import pytest

from mesh.model import Unavailable
from services.auth.domain.errors import TooManyAttempts
from services.auth.throttle import ACCOUNT_FAILURES, FAILURES, FAILURES_WINDOW, Throttle

ADA = "ada@example.com"


class FakeCache:
    """Counters in memory, whose windows never end."""

    def __init__(self, gone: bool) -> None:
        self.counts: dict[str, int] = {}
        self.gone = gone

    async def count(self, key: str, window: float) -> int:
        self._there()
        self.counts[key] = self.counts.get(key, 0) + 1
        return self.counts[key]

    async def counted(self, keys: list[str]) -> list[int]:
        self._there()
        return [self.counts.get(key, 0) for key in keys]

    async def left(self, key: str) -> float:
        self._there()
        return 60.0

    async def put_new(self, key: str, value: str, ttl: float) -> bool:
        self._there()
        self.counts.setdefault(key, int(value))
        return True

    async def forget(self, *keys: str) -> None:
        self._there()
        for key in keys:
            self.counts.pop(key, None)

    def _there(self) -> None:
        if self.gone:
            raise Unavailable


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def throttle(gone: bool = False, clock: Clock | None = None) -> Throttle:
    cache: Any = FakeCache(gone)
    return Throttle(cache, clock or Clock())


async def attack(throttle: Throttle, address: str, times: int) -> None:
    for _ in range(times):
        await throttle.begin(ADA, address)


@pytest.mark.parametrize("gone", [False, True])
async def test_one_address_is_slowed_down_alone(gone: bool) -> None:
    """After FAILURES in a row one address waits, while the owner at another address does not."""
    counting = throttle(gone)
    await attack(counting, "attacker", FAILURES)
    with pytest.raises(TooManyAttempts) as refusal:
        await counting.begin(ADA, "attacker")
    assert refusal.value.retry_after
    await counting.begin(ADA, "home")
    await counting.begin("bob@example.com", "attacker")


@pytest.mark.parametrize("gone", [False, True])
async def test_a_success_forgets_failures(gone: bool) -> None:
    """Failures count in a row."""
    counting = throttle(gone)
    await attack(counting, "home", FAILURES)
    await counting.succeeded(ADA, "home")
    await attack(counting, "home", FAILURES)


async def test_a_hundred_failures_leave_the_owner_in() -> None:
    """After a hundred failures from everywhere only addresses that logged in before may try."""
    counting = throttle()
    await counting.succeeded(ADA, "home")
    for n in range(ACCOUNT_FAILURES // FAILURES):
        await attack(counting, f"attacker {n}", FAILURES)
    with pytest.raises(TooManyAttempts):
        await counting.begin(ADA, "another")
    await counting.begin(ADA, "home")


async def test_counters_of_this_process_have_an_end() -> None:
    """Without Valkey attempts are forgotten after their window too."""
    clock = Clock()
    counting = throttle(gone=True, clock=clock)
    await attack(counting, "home", FAILURES)
    clock.now = FAILURES_WINDOW
    await attack(counting, "home", FAILURES)


async def test_counters_hold_no_address() -> None:
    """Keys of counters name an account by its hash."""
    counting = throttle()
    await counting.begin(ADA, "home")
    cache: Any = counting._cache
    assert not any("ada" in key and "@" in key for key in cache.counts)
