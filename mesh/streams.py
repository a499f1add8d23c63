"""Streams live long: each reader has a few, none is silent for long, and all end when the process stops."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from mesh import limits
from mesh.call import Call, Proceed, Send
from mesh.contract import Method
from mesh.model import Exhausted, Unavailable
from mesh.tasks import ended


class Streams:
    """The streams that a process holds open."""

    def __init__(self) -> None:
        self._open: Counter[str] = Counter()
        self._running: set[asyncio.Future[bytes]] = set()
        self._stopping = False

    def kept(self, method: Method, proceed: Proceed) -> Proceed:
        """Raises: Exhausted when the reader has enough of them; Unavailable when the process stops."""
        if not method.server_streaming:
            return proceed

        async def step(request: bytes, call: Call) -> bytes:
            with self._place(_reader(call)):
                return await self._serve(proceed, request, call)

        return step

    async def end(self) -> None:
        """Each stream ends now, with a last word to its reader; no other begins."""
        self._stopping = True
        await ended(*self._running)

    @contextmanager
    def _place(self, reader: str) -> Iterator[None]:
        if self._stopping:
            raise _stopped()
        if reader and self._open[reader] >= limits.STREAMS_EACH:
            raise Exhausted(
                f"{limits.STREAMS_EACH} streams are open already; close one first.", retry_after=limits.OVERLOAD_PAUSE
            )
        self._open[reader] += 1
        try:
            yield
        finally:
            self._open[reader] -= 1
            if not self._open[reader]:
                del self._open[reader]

    async def _serve(self, proceed: Proceed, request: bytes, call: Call) -> bytes:
        assert call.send is not None
        heart = _Heart(call.send)
        stream = asyncio.ensure_future(proceed(request, call._replace(send=heart.send)))
        self._running.add(stream)
        try:
            while not await _done(stream, heart.quiet_for()):
                await heart.beat()
            if stream.cancelled() and self._stopping:
                raise _stopped()
            return stream.result()
        finally:
            self._running.discard(stream)
            await ended(stream)


class _Heart:
    """Sends an empty message when the handler has said nothing for HEARTBEAT.

    Hops and readers take silence for death, and a reader that is gone is often noticed only by writing to it.
    """

    def __init__(self, send: Send) -> None:
        self._send, self._one, self._last = send, asyncio.Lock(), time.monotonic()

    async def send(self, reply: bytes) -> None:
        """What the handler says."""
        async with self._one:
            await self._send(reply)
        self._last = time.monotonic()

    def quiet_for(self) -> float:
        """Seconds until the next beat is due."""
        return max(0.0, self._last + limits.HEARTBEAT - time.monotonic())

    async def beat(self) -> None:
        """Say something, unless somebody has, or waits for a slow reader."""
        if self._one.locked():
            self._last = time.monotonic()
        elif not self.quiet_for():
            await self.send(b"")


def _reader(call: Call) -> str:
    """Whose streams are counted together: a user's, else an address's; a workload's own are not."""
    return call.user.user_id if call.user else call.peer.address


def _stopped() -> Unavailable:
    return Unavailable("This process is stopping; open the stream again.", retry_after=limits.OVERLOAD_PAUSE)


async def _done(stream: asyncio.Future[bytes], within: float) -> bool:
    await asyncio.wait([stream], timeout=within)
    return stream.done()
