"""What the pipeline costs: a unary echo with every step on, against the same echo on bare grpc.aio.

Both servers run at once in processes of their own and are asked in turns, so that what else the
machine does hits both alike. Both are sent the same bytes and the same metadata; the bare one looks
at none of it.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import uvloop

from bench import echo
from bench.measure import Row, cpu_seconds, ratio
from mesh.call import Call, Incoming, Peer, Step, current
from mesh.pipeline import Pipeline, begin, composed
from mesh.telemetry import Telemetry

ROUNDS, CALLS, AT_ONCE, STEP_CALLS = 9, 3000, 32, 1000


def rows(rounds: int = ROUNDS, calls: int = CALLS) -> list[Row]:
    """Throughput and CPU of both servers, and the CPU of each step."""
    return uvloop.run(_against_bare(rounds, calls)) + uvloop.run(_steps(rounds))


@dataclass
class Server:
    """A server under test and what it did in each round."""

    name: str
    pid: int
    ask: Any
    metadata: tuple[tuple[str, str], ...]
    rates: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    async def round(self, calls: int) -> None:
        """Answer `calls` calls, AT_ONCE at a time."""
        requests = iter([echo.request() for _ in range(calls)])
        before, started = cpu_seconds([self.pid]), time.perf_counter()
        await asyncio.gather(*(self._client(requests) for _ in range(AT_ONCE)))
        self.rates.append(calls / (time.perf_counter() - started))
        self.cpu.append((cpu_seconds([self.pid]) - before) / calls * 1e6)

    async def _client(self, requests: Any) -> None:
        for one in requests:
            await self.ask(one, metadata=self.metadata, timeout=5)

    def rows(self) -> list[Row]:
        """Without the first round, which warms up."""
        return [
            Row(f"{self.name}: unary echo", tuple(self.rates[1:]), "calls/s"),
            Row(f"{self.name}: server CPU", tuple(self.cpu[1:]), "µs/call", "less"),
        ]


async def _against_bare(rounds: int, calls: int) -> list[Row]:
    shown = echo.credentials()
    with tempfile.TemporaryDirectory(prefix="tb-") as folder:
        async with _running("bare", Path(folder), shown) as bare, _running("mesh", Path(folder), shown) as mesh:
            for _ in range(rounds + 1):
                await bare.round(calls)
                await mesh.round(calls)
    return bare.rows() + mesh.rows()


@asynccontextmanager
async def _running(kind: str, folder: Path, shown: echo.Credentials) -> AsyncIterator[Server]:
    socket = folder / f"{kind}.sock"
    arguments = json.dumps([kind, str(socket), shown.token, shown.jwks])
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "bench.echo", arguments)
    try:
        async with grpc.aio.insecure_channel(f"unix:{socket}") as channel:
            await asyncio.wait_for(channel.channel_ready(), 20)
            yield Server(kind, process.pid, channel.unary_unary(echo.PATH), shown.metadata)
    finally:
        process.terminate()
        await process.wait()


async def _steps(rounds: int, calls: int = STEP_CALLS) -> list[Row]:
    """CPU of each step: the pipeline as far as that step, less the pipeline as far as the one before."""
    shown = echo.credentials()
    telemetry = Telemetry("users", echo.TRACE_RATIO, lambda text: None)
    steps = Pipeline(echo.app(shown), telemetry).steps
    costs: list[list[float]] = [[] for _ in range(len(steps) + 1)]
    for _ in range(rounds + 1):
        for count, cost in enumerate(costs):
            cost.append(await _cpu(steps[:count], telemetry, dict(shown.metadata), calls))
    differences = ([b - a for a, b in zip(before, after, strict=True)] for before, after in itertools.pairwise(costs))
    named = zip(("begin", *map(_name, steps)), (costs[0], *differences), strict=True)
    return [Row(f"step {name}", tuple(values[1:]), "µs/call", "less") for name, values in named]


async def _cpu(steps: tuple[Step, ...], telemetry: Telemetry, metadata: dict[str, str], calls: int) -> float:
    """Microseconds of a call through `steps`."""
    run, incoming = composed(steps, echo.ECHO, _nothing), Incoming(Peer("gateway"), metadata)
    requests = [echo.request() for _ in range(calls)]
    started = time.process_time()
    for one in requests:
        call = begin(echo.ECHO, incoming, echo.TRACE_RATIO)
        current.set(call)
        await run(one, call)
    telemetry.flush()
    return (time.process_time() - started) / calls * 1e6


async def _nothing(request: Any, call: Call) -> bytes:
    return b""


def _name(step: Step) -> str:
    """`deadline.bounded`, `EndUser.authenticated`."""
    name = step.__qualname__
    return name if "." in name else f"{step.__module__.rpartition('.')[2]}.{name}"


def main() -> None:
    """Print the rows and the ratio."""
    measured = rows()
    for row in measured:
        print(f"{row.name:32} {row.median:10.1f} {row.unit}")
    tax = ratio("mesh / bare", measured[2], measured[0])
    print(f"{tax.name:32} {tax.median:10.2f} ({tax.spread[0]:.2f} to {tax.spread[1]:.2f})")


if __name__ == "__main__":
    main()
