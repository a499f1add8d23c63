"""Brings pushes to push services over HTTP (RFC 8030), and the worker that does so until it is cancelled."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import structlog

from infra.lanes import Lanes
from mesh.model import Error
from mesh.tasks import together
from services.notifications.push.domain import LEASE, Answer, Endpoint, Pushes, Unclear
from services.notifications.push.encryption import Vapid, encrypted
from services.notifications.push.limits import COURIERS, PUSH_CONNECT, PUSH_POLL, PUSH_WITHIN, VAPID_LIFE
from services.notifications.push.public import PublicOnly

log = structlog.get_logger(__name__)
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
"""Failures before the first byte of a request."""


class HttpCourier:
    """A `services.notifications.push.domain.Courier`."""

    def __init__(self, client: httpx.AsyncClient, vapid: Vapid) -> None:
        self._client, self._vapid = client, vapid

    async def send(self, endpoint: Endpoint, payload: bytes, ttl: float) -> Answer:
        headers = {
            **self._vapid.headers(endpoint.url, time.time(), VAPID_LIFE),
            "content-encoding": "aes128gcm",
            "content-type": "application/octet-stream",
            "ttl": f"{ttl:.0f}",
        }
        body = encrypted(payload, endpoint.keys)
        try:
            async with asyncio.timeout(PUSH_WITHIN):
                # What else it says is not read: it may be endless.
                async with self._client.stream("POST", endpoint.url, content=body, headers=headers) as answer:
                    return Answer(answer.status_code, _seconds(answer.headers.get("retry-after", "")))
        except _NOT_SENT:
            return Answer(0)
        except (httpx.HTTPError, TimeoutError) as error:
            raise Unclear from error


@asynccontextmanager
async def open_client(*, loopback: bool) -> AsyncIterator[httpx.AsyncClient]:
    """A client that reaches public hosts alone, with bounded times. `loopback`: this machine counts as public."""
    limits = httpx.Limits(max_connections=COURIERS, max_keepalive_connections=COURIERS)
    transport = PublicOnly(httpx.AsyncHTTPTransport(limits=limits, trust_env=False), loopback=loopback)
    timeout = httpx.Timeout(PUSH_WITHIN, connect=PUSH_CONNECT)
    async with httpx.AsyncClient(transport=transport, timeout=timeout, trust_env=False) as client:
        yield client


class PushWorker:
    """Sends what is due, COURIERS at once. Several processes may run one each."""

    def __init__(self, pushes: Pushes) -> None:
        self._pushes = pushes

    async def run(self) -> None:
        """Send, and give up what nobody knows of, until cancelled."""
        await together(self._sweep(), Lanes("pushing", self._pushes.send_next, COURIERS, PUSH_POLL).run())

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(LEASE * random.uniform(0.5, 1))
            with contextlib.suppress(Error):
                if lost := await self._pushes.store.sweep(self._pushes.now()):
                    log.warning("pushes_lost", count=lost)


def _seconds(text: str) -> float:
    """`retry-after` in seconds; a date is not worth reading."""
    return float(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0.0
