"""Counters in a real Valkey, with the rights that a workload has there."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis.exceptions import RedisError

from infra.cache import Cache, open_cache
from infra.settings import ServiceSettings
from mesh import model
from tests.servers import Valkey


@pytest.fixture
def valkey() -> Iterator[Valkey]:
    with tempfile.TemporaryDirectory(prefix="tulle-v-") as folder:
        server = Valkey(Path(folder))
        server.start()
        yield server
        server.kill()


@pytest.fixture
async def cache(valkey: Valkey, settings: ServiceSettings) -> AsyncIterator[Cache]:
    await valkey.ready()
    async with open_cache(settings.model_copy(update={"valkey_url": valkey.url})) as opened:
        yield opened


async def test_counting_begins_anew_after_its_window(cache: Cache) -> None:
    """The window begins with the first count and is not prolonged by the next."""
    assert [await cache.count("k", 0.3) for _ in range(3)] == [1, 2, 3]
    assert await cache.counted(["k", "other"]) == [3, 0]
    assert 0 < await cache.left("k") <= 0.3
    await asyncio.sleep(0.35)
    assert (await cache.left("k"), await cache.count("k", 0.3)) == (0, 1)


async def test_a_new_value_is_stored_once(cache: Cache) -> None:
    """Only the first of many stores it, until it is forgotten."""
    stored = await asyncio.gather(*(cache.put_new("k", "v", 60) for _ in range(20)))
    assert sum(stored) == 1
    await cache.forget("k")
    assert await cache.put_new("k", "v", 60)


async def test_a_workload_touches_its_own_keys_only(cache: Cache) -> None:
    """Another's keys, and all administration, are refused by the server."""
    client: Any = cache._client
    for command in ("GET auth:k", "SET auth:k 1", "FLUSHALL", "CONFIG GET *", "KEYS *", "ACL LIST"):
        with pytest.raises(RedisError, match="permission"):
            await client.execute_command(*command.split())


async def test_a_dead_cache_is_unavailable_and_comes_back(valkey: Valkey, cache: Cache) -> None:
    """Callers hear at once that it is gone, and use it again when it is there."""
    await cache.ready()
    valkey.kill()
    began = asyncio.get_running_loop().time()
    with pytest.raises(model.Unavailable):
        await cache.count("k", 60)
    assert asyncio.get_running_loop().time() - began < 2
    valkey.start()
    await valkey.ready()
    assert await cache.count("k", 60) >= 1
