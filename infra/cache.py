"""Valkey: counters that several processes share. Nothing in it must outlive a restart."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator, Sequence

from redis.asyncio import Redis
from redis.asyncio.connection import BlockingConnectionPool
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from infra import limits
from infra.settings import ServiceSettings
from mesh import model


class Cache:
    """One workload's keys, `<workload>:…`; the ACL lets it touch no others.

    Everything raises model.Unavailable when Valkey is gone or slow.
    """

    def __init__(self, client: Redis, workload: str) -> None:
        self._client = client
        self._prefix = f"{workload}:"

    async def count(self, key: str, window: float) -> int:
        """Count one more under `key`; how many since the first of the last `window` seconds."""
        with _typed():
            async with self._client.pipeline(transaction=True) as pipeline:
                pipeline.incr(self._prefix + key)
                pipeline.pexpire(self._prefix + key, round(window * 1000), nx=True)
                counted, _ = await pipeline.execute()
        return int(counted)

    async def uncount(self, key: str, window: float) -> None:
        """Count one less, of what `count` has counted."""
        with _typed():
            async with self._client.pipeline(transaction=True) as pipeline:
                pipeline.incrby(self._prefix + key, -1)
                # The window may have ended in between.
                pipeline.pexpire(self._prefix + key, round(window * 1000), nx=True)
                await pipeline.execute()

    async def counted(self, keys: Sequence[str]) -> list[int]:
        """What `count` has reached for each key."""
        with _typed():
            found = await self._client.mget([self._prefix + key for key in keys])
        return [int(value or 0) for value in found]

    async def left(self, key: str) -> float:
        """Seconds until the key's window ends; 0 if it has."""
        with _typed():
            milliseconds = await self._client.pttl(self._prefix + key)
        return max(0.0, float(milliseconds) / 1000)

    async def put_new(self, key: str, value: str, ttl: float) -> bool:
        """Store a value for `ttl` seconds unless there is one; whether it was stored."""
        with _typed():
            return bool(await self._client.set(self._prefix + key, value, px=round(ttl * 1000), nx=True))

    async def forget(self, *keys: str) -> None:
        """Drop keys."""
        with _typed():
            await self._client.delete(*(self._prefix + key for key in keys))

    async def ready(self) -> None:
        """Raises: model.Unavailable unless Valkey answers."""
        with _typed():
            await self._client.ping()


@contextlib.contextmanager
def _typed() -> Iterator[None]:
    try:
        yield
    except (RedisError, OSError) as error:  # TimeoutError is an OSError
        raise model.Unavailable("The cache is not available now.", retry_after=1.0) from error


@contextlib.asynccontextmanager
async def open_cache(settings: ServiceSettings) -> AsyncIterator[Cache]:
    """The keys of `settings.workload`. Connects when first used."""
    pool: BlockingConnectionPool = BlockingConnectionPool.from_url(
        settings.valkey_url,
        username=settings.workload,
        password=settings.secret("valkey"),
        max_connections=limits.CACHE_CONNECTIONS,
        timeout=limits.CACHE_TIMEOUT,
        socket_timeout=limits.CACHE_TIMEOUT,
        socket_connect_timeout=limits.CACHE_TIMEOUT,
        # A counter is not idempotent, and a caller has its own fallback.
        retry=Retry(NoBackoff(), 0),
        decode_responses=True,
    )
    client = Redis.from_pool(pool)
    try:
        yield Cache(client, settings.workload)
    finally:
        await client.aclose()


def acl_rules(workload: str) -> str:
    """What a workload's ACL user may do: its own keys, no administration."""
    return f"~{workload}:* resetchannels -@all +@read +@write +@transaction +@connection -@dangerous"
