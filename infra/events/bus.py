"""The connection to NATS, and the broker's set-up by its administrator."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import nats.errors
import structlog
from nats.aio.client import Client
from nats.js import JetStreamContext, errors

from infra import limits
from infra.events import streams
from infra.settings import ServiceSettings
from mesh import model
from mesh.contract import Contract
from mesh.tasks import ended

log = structlog.get_logger(__name__)
Work = Callable[[Client], Awaitable[None]]


class Bus:
    """A connection to NATS that is made anew whenever it is lost.

    A client is never mended: work that uses it is cancelled and begins again with the next one, so
    that no subscription, request or assumption outlives the connection that it was made on.
    """

    def __init__(self, url: str, user: str, password: str) -> None:
        self.user = user
        self._url = url
        self._password = password
        self._client: Client | None = None
        self._changed = asyncio.Condition()

    async def keep(self) -> None:
        """Connect, and again after each loss, until cancelled."""
        away = False
        while True:
            lost = asyncio.Event()
            try:
                client = await self._connect(lost)
            except Exception as error:  # whatever it is, nobody else would try again
                if not away:
                    log.warning("nats_unreachable", error=str(error) or type(error).__name__)
                away = True
            else:
                away = False
                await self._serve(client, lost)
            await asyncio.sleep(limits.NATS_PAUSE * random.uniform(1, 2))

    async def client(self) -> Client:
        """The current client, as soon as there is one."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._client is not None)
            assert self._client is not None
            return self._client

    @property
    def connected(self) -> Client | None:
        """The current client, if there is one now."""
        return self._client

    async def while_connected(self, work: Work) -> None:
        """Run `work` for ever: anew with each connection, and after a pause when it fails."""
        failures = 0
        while True:
            client = await self.client()
            began = asyncio.get_running_loop().time()
            try:
                await self._until_lost(client, work(client))
            except Exception as error:
                log.warning("bus_work_failed", work=getattr(work, "__qualname__", "?"), exc_info=error)
                calm = asyncio.get_running_loop().time() - began > limits.RETRY_LONGEST
                failures = 0 if calm else failures + 1
                await asyncio.sleep(backoff(failures))

    async def ready(self) -> None:
        """Raises: model.Unavailable unless the broker answers."""
        client = self._client
        if client is None:
            raise model.Unavailable("The event bus is not connected.")
        try:
            await client.flush(timeout=1)
        except (nats.errors.Error, OSError) as error:
            raise model.Unavailable("The event bus does not answer.") from error

    async def _connect(self, lost: asyncio.Event) -> Client:
        async def closed() -> None:
            lost.set()

        async def told(error: Exception) -> None:
            if "permissions violation" in str(error).lower():
                log.error("nats_refused", error=str(error))

        return await connect(self._url, self.user, self._password, closed_cb=closed, error_cb=told)

    async def _serve(self, client: Client, lost: asyncio.Event) -> None:
        log.info("nats_connected")
        try:
            await self._set(client)
            await _closed(client, lost)
            log.warning("nats_lost")
        finally:
            await self._set(None)
            with contextlib.suppress(Exception):
                await client.close()

    async def _set(self, client: Client | None) -> None:
        async with self._changed:
            self._client = client
            self._changed.notify_all()

    async def _until_lost(self, client: Client, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        lost = asyncio.create_task(self._lost(client))
        try:
            await asyncio.wait({task, lost}, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                await task
        finally:
            await ended(task, lost)

    async def _lost(self, client: Client) -> None:
        async with self._changed:
            await self._changed.wait_for(lambda: self._client is not client)


def backoff(failures: int) -> float:
    """How long to rest after so many failures in a row."""
    return float(min(limits.RETRY_LONGEST, 0.1 * 2 ** min(failures, 10))) * random.uniform(0.5, 1)


async def connect(url: str, user: str, password: str, **callbacks: Any) -> Client:
    """A client that is closed when its connection is lost. Raises: OSError, nats.errors.Error, at once."""
    client = Client()
    callbacks.setdefault("error_cb", _ignore)
    await client.connect(
        url,
        user=user,
        password=password,
        name=user,
        inbox_prefix=streams.inbox(user),
        allow_reconnect=False,
        max_reconnect_attempts=1,  # these two hold for the first connection too
        reconnect_time_wait=limits.NATS_PAUSE,  # type: ignore[arg-type]  # it is only slept
        connect_timeout=round(limits.CONNECT_TIMEOUT),
        ping_interval=round(limits.NATS_PING),
        max_outstanding_pings=2,
        **callbacks,
    )
    return client


async def _closed(client: Client, told: asyncio.Event) -> None:
    """Return when the client is closed. It should say so, and does not when its farewell meets a dead connection."""
    while client.is_connected and not told.is_set():
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limits.NATS_LOOK):
                await told.wait()


async def _ignore(error: Exception) -> None:
    """Instead of the library's own callback, which prints a trace for each failed attempt to connect."""


@contextlib.asynccontextmanager
async def open_bus(settings: ServiceSettings) -> AsyncIterator[Bus]:
    """The bus as `settings.workload`. Connects in the background: a process starts without its broker."""
    bus = Bus(settings.nats_url, settings.workload, settings.secret("nats"))
    keeper = asyncio.create_task(bus.keep(), name="nats")
    try:
        yield bus
    finally:
        await ended(keeper)


async def provision(url: str, password: str, contract: Contract) -> None:
    """Make or update all streams and consumers of the contract; may be run again at any time.

    To be run whenever the broker has started, with the password of streams.ADMINISTRATOR.
    Raises: nats.errors.Error, OSError.
    """
    client = await connect(url, streams.ADMINISTRATOR, password)
    try:
        jetstream = client.jetstream()
        for stream in streams.stream_configs(contract):
            await _put_stream(jetstream, stream)
        for name, consumer in streams.consumer_configs(contract):
            await jetstream.add_consumer(name, consumer)
    finally:
        await client.close()


async def _put_stream(jetstream: JetStreamContext, config: Any) -> None:
    try:
        await jetstream.stream_info(config.name)
    except errors.NotFoundError:
        await jetstream.add_stream(config)
    else:
        await jetstream.update_stream(config)


async def last_sequence(client: Client, stream: str) -> int:
    """The sequence number of the newest message that the stream has had. Raises: nats.errors.Error."""
    reply = await client.request(f"$JS.API.STREAM.INFO.{stream}", timeout=limits.PUBLISH_TIMEOUT)
    answer = json.loads(reply.data)
    if "error" in answer:
        raise errors.APIError.from_error(answer["error"])
    return int(answer["state"]["last_seq"])
