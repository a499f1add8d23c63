"""A small HTTP/1.1 load generator: keep-alive connections on uvloop, closed loop or fixed rate.

Cheap enough (some 20 µs a request) that the server under test is what is measured. Each connection
comes from a loopback address of its own, so limits per address hold as they would in the field.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import cast


@dataclass(slots=True)
class Sample:
    """What one run saw. `latencies` in seconds, of requests that got a 2xx answer."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    failures: dict[str, int] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        """Successful requests per second."""
        return len(self.latencies) / self.seconds

    def quantile(self, share: float) -> float:
        """Latency in seconds below which `share` of the requests stayed."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else float("nan")

    def add(self, status: bytes, latency: float) -> None:
        if status[:1] == b"2":
            self.latencies.append(latency)
        else:
            self.failures[status.decode()] = self.failures.get(status.decode(), 0) + 1


class Connection(asyncio.Protocol):
    """One keep-alive connection with at most one request in flight."""

    def __init__(self) -> None:
        self.buffer = b""
        self.waiter: asyncio.Future[bytes] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are of no class of asyncio's.
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head = self.buffer.find(b"\r\n\r\n")
        if head < 0:
            return
        length = _content_length(self.buffer[:head])
        if len(self.buffer) >= head + 4 + length:
            status, self.buffer = self.buffer[9:12], self.buffer[head + 4 + length :]
            self._resolve(status)

    def connection_lost(self, error: Exception | None) -> None:
        self._resolve(b"eof")

    def _resolve(self, status: bytes) -> None:
        if self.waiter and not self.waiter.done():
            self.waiter.set_result(status)

    async def ask(self, request: bytes) -> bytes:
        """Send a whole request; returns the three digits of the answer's status, or `eof`."""
        self.waiter = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return await self.waiter


def _content_length(head: bytes) -> int:
    at = head.lower().find(b"content-length:")
    if at < 0:
        raise ValueError("the server under test answers without content-length")
    return int(head[at + 15 :].split(b"\r\n", 1)[0])


def get(path: str, port: int, token: str = "") -> bytes:
    """A GET request, as bytes."""
    authorization = f"authorization: Bearer {token}\r\n" if token else ""
    return f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n{authorization}\r\n".encode()


def addresses() -> Iterator[str]:
    """Loopback addresses, one for each connection."""
    return (f"127.{1 + n // 62500 % 200}.{n // 250 % 250}.{1 + n % 250}" for n in range(1 << 30))


async def connect(port: int, count: int) -> list[Connection]:
    """Open `count` connections from different addresses."""
    loop, sources = asyncio.get_running_loop(), addresses()
    opened = [
        await loop.create_connection(Connection, "127.0.0.1", port, local_addr=(next(sources), 0)) for _ in range(count)
    ]
    return [protocol for _, protocol in opened]


async def closed_loop(port: int, requests: Callable[[], bytes], connections: int, seconds: float) -> Sample:
    """Each connection asks again as soon as it is answered: the throughput."""
    sample, open_ = Sample(), await connect(port, connections)
    start = time.perf_counter()
    await asyncio.gather(*(_again(c, requests, start + seconds, sample) for c in open_))
    sample.seconds = time.perf_counter() - start
    for connection in open_:
        connection.transport.close()
    return sample


async def _again(connection: Connection, requests: Callable[[], bytes], end: float, sample: Sample) -> None:
    while (begun := time.perf_counter()) < end:
        sample.add(await connection.ask(requests()), time.perf_counter() - begun)


async def fixed_rate(port: int, requests: Callable[[], bytes], rate: float, seconds: float, connections: int) -> Sample:
    """Requests begin on a timetable whatever the answers do: latency without coordinated omission.

    Latency counts from the planned start, so waiting for a free connection is part of it.
    """
    sample, free = Sample(), asyncio.Queue[Connection]()
    for connection in await connect(port, connections):
        free.put_nowait(connection)
    start = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number in range(int(rate * seconds)):
            planned = start + number / rate
            await asyncio.sleep(max(0.0, planned - time.perf_counter()))
            group.create_task(_one(free, requests(), planned, sample))
    sample.seconds = time.perf_counter() - start
    while not free.empty():
        free.get_nowait().transport.close()
    return sample


async def _one(free: asyncio.Queue[Connection], request: bytes, planned: float, sample: Sample) -> None:
    connection = await free.get()
    sample.add(await connection.ask(request), time.perf_counter() - planned)
    free.put_nowait(connection)
