"""How many attempts an account takes, and from where."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from mesh.model import Unavailable
from services.auth.domain.authentication import code_attempts, password_attempts
from services.auth.domain.errors import TooManyAttempts
from services.auth.throttle import (
    ACCOUNT_FAILURES,
    ACCOUNT_WINDOW,
    FAILURES,
    FAILURES_WINDOW,
    LOCAL_COUNTERS,
    Throttle,
)

ADA, BOB = password_attempts("ada@example.com"), password_attempts("bob@example.com")
HOME, CAFE = "192.0.2.1", "192.0.2.2"


class FakeCache:
    """Counters as infra.cache has them, on a clock that tests set; `gone` as when Valkey is."""

    def __init__(self) -> None:
        self.now, self.gone = 0.0, False
        self.values: dict[str, tuple[int, float]] = {}

    def clock(self) -> float:
        return self.now

    async def count(self, key: str, window: float) -> int:
        value, until = self._living(key) or (0, self.now + window)
        self.values[key] = (value + 1, until)
        return value + 1

    async def uncount(self, key: str, window: float) -> None:
        await self.count(key, window)
        value, until = self.values[key]
        self.values[key] = (value - 2, until)

    async def counted(self, keys: Sequence[str]) -> list[int]:
        return [(self._living(key) or (0, 0.0))[0] for key in keys]

    async def left(self, key: str) -> float:
        return (self._living(key) or (0, self.now))[1] - self.now

    async def put_new(self, key: str, value: str, ttl: float) -> bool:
        self._living(key)
        return self.values.setdefault(key, (int(value), self.now + ttl)) == (int(value), self.now + ttl)

    async def forget(self, *keys: str) -> None:
        for key in keys:
            self.values.pop(key, None)

    def _living(self, key: str) -> tuple[int, float] | None:
        if self.gone:
            raise Unavailable
        found = self.values.get(key)
        return found if found and found[1] > self.now else None


async def test_what_nobody_judged_locks_nobody_out(throttle: Throttle, cache: FakeCache) -> None:
    """Attempts that are taken back count neither here nor everywhere, with Valkey and without it."""
    for cache.gone in (False, True):
        for _ in range(ACCOUNT_FAILURES + 1):
            await throttle.begin(ADA, HOME)
            await throttle.unjudged(ADA, HOME)


@pytest.fixture
def cache() -> FakeCache:
    return FakeCache()


@pytest.fixture
def throttle(cache: FakeCache) -> Throttle:
    stand_in: Any = cache
    return Throttle(stand_in, cache.clock)


@pytest.fixture(params=["Valkey", "memory"])
def anywhere(request: pytest.FixtureRequest, cache: FakeCache, throttle: Throttle) -> Throttle:
    """A throttle that counts in Valkey, and one whose Valkey is gone."""
    cache.gone = request.param == "memory"
    return throttle


async def fail(throttle: Throttle, account: str, address: str, times: int) -> None:
    for _ in range(times):
        await throttle.begin(account, address)


async def attacked(throttle: Throttle, account: str = ADA) -> None:
    """As many failures as an account takes, each address doing its share."""
    for number in range(ACCOUNT_FAILURES // FAILURES):
        await fail(throttle, account, f"198.51.100.{number}", FAILURES)


async def test_an_address_has_so_many_failures(anywhere: Throttle, cache: FakeCache) -> None:
    """After the last failure that one address may have it waits, is told how long, and then goes on."""
    await fail(anywhere, ADA, HOME, FAILURES)
    with pytest.raises(TooManyAttempts) as refusal:
        await anywhere.begin(ADA, HOME)
    assert refusal.value.retry_after == FAILURES_WINDOW
    cache.now += FAILURES_WINDOW
    await anywhere.begin(ADA, HOME)


async def test_an_attacker_locks_nobody_out(anywhere: Throttle) -> None:
    """Failures of one address close neither another address nor another account."""
    await fail(anywhere, ADA, CAFE, FAILURES)
    with pytest.raises(TooManyAttempts):
        await anywhere.begin(ADA, CAFE)
    await anywhere.begin(ADA, HOME)
    await anywhere.begin(BOB, CAFE)


async def test_success_forgets_failures(anywhere: Throttle) -> None:
    """Only failures in a row count."""
    for _ in range(3):
        await fail(anywhere, ADA, HOME, FAILURES - 1)
        await anywhere.succeeded(ADA, HOME)
    await fail(anywhere, ADA, HOME, FAILURES)


async def test_an_account_has_so_many_failures(anywhere: Throttle, cache: FakeCache) -> None:
    """After ACCOUNT_FAILURES in a row, whatever addresses they came from, strangers wait, for long."""
    await attacked(anywhere)
    for _ in range(2):
        with pytest.raises(TooManyAttempts):
            await anywhere.begin(ADA, HOME)
        cache.now += ACCOUNT_WINDOW / 2 - 1
    cache.now += 2
    await anywhere.begin(ADA, HOME)


async def test_the_owner_comes_in_all_the_same(throttle: Throttle) -> None:
    """An address that has logged in before passes through an attack, and a log-in there ends it for all."""
    await throttle.succeeded(ADA, HOME)
    await attacked(throttle)
    with pytest.raises(TooManyAttempts):
        await throttle.begin(ADA, CAFE)
    await throttle.begin(ADA, HOME)
    await throttle.succeeded(ADA, HOME)
    await throttle.begin(ADA, CAFE)


async def test_a_known_address_has_its_bound_too(throttle: Throttle) -> None:
    """Having logged in before does not allow to guess without end."""
    await throttle.succeeded(ADA, HOME)
    await fail(throttle, ADA, HOME, FAILURES)
    with pytest.raises(TooManyAttempts):
        await throttle.begin(ADA, HOME)


async def test_password_and_code_are_counted_apart(throttle: Throttle) -> None:
    """Who knows the password cannot forget failed codes by showing it again."""
    code = code_attempts("Ada@Example.com ")
    for _ in range(FAILURES):
        await throttle.begin(ADA, HOME)
        await throttle.succeeded(ADA, HOME)
        await throttle.begin(code, HOME)
    with pytest.raises(TooManyAttempts):
        await throttle.begin(code, HOME)


async def test_valkey_may_come_and_go(throttle: Throttle, cache: FakeCache) -> None:
    """Without Valkey attempts are counted here; nothing fails, and a success is a success."""
    await throttle.begin(ADA, HOME)
    cache.gone = True
    await throttle.begin(ADA, HOME)
    await throttle.succeeded(ADA, HOME)
    await fail(throttle, ADA, HOME, FAILURES)
    with pytest.raises(TooManyAttempts):
        await throttle.begin(ADA, HOME)
    cache.gone = False
    await throttle.begin(ADA, HOME)


async def test_local_counters_are_bounded(throttle: Throttle, cache: FakeCache) -> None:
    """However many addresses an attacker has, memory does not grow."""
    cache.gone = True
    for number in range(LOCAL_COUNTERS):
        await throttle.begin(password_attempts(f"{number}@example.com"), HOME)
    assert len(throttle._local._counts) == LOCAL_COUNTERS


async def test_counters_know_no_address_of_mail(throttle: Throttle, cache: FakeCache) -> None:
    """What is stored names accounts by a hash."""
    await throttle.begin(ADA, HOME)
    assert cache.values
    assert not [key for key in cache.values if "ada" in key or "example" in key]
