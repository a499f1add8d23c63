"""An authenticated read from PostgreSQL over REST, against the FastAPI peer in the same interleaved run."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from bench.load import Sample, closed_loop, fixed_rate, get
from bench.measure import Row, cpu_seconds
from bench.platform import Platform, peer
from services.users.store import sql

PATH = "/v1/users/me"
CONNECTIONS = 32
SECONDS = 2.0
RATES = (200, 600)
"""Requests per second at which latency is measured: light, and near half of what two cores do."""


@dataclass
class Door:
    """One way to read a profile. `pids`: the processes whose work it is."""

    name: str
    port: int
    pids: Sequence[int]
    requests: Callable[[], bytes]
    rates: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    p99: dict[int, list[float]] = field(default_factory=lambda: {rate: [] for rate in RATES})
    failures: dict[str, int] = field(default_factory=dict)

    async def throughput(self) -> None:
        """One round of as many reads as it can do."""
        before = cpu_seconds(self.pids)
        sample = await closed_loop(self.port, self.requests, CONNECTIONS, SECONDS)
        self.rates.append(sample.rate)
        self.cpu.append((cpu_seconds(self.pids) - before) / max(1, len(sample.latencies)) * 1000)
        self._count(sample)

    async def latency(self, rate: int) -> None:
        """One round of reads at a fixed rate."""
        sample = await fixed_rate(self.port, self.requests, rate, SECONDS, CONNECTIONS)
        self.p99[rate].append(sample.quantile(0.99) * 1000)
        self._count(sample)

    def _count(self, sample: Sample) -> None:
        for status, count in sample.failures.items():
            self.failures[status] = self.failures.get(status, 0) + count

    def rows(self) -> list[Row]:
        """The figures of the rounds after the first, which warms up."""
        return [
            Row(f"{self.name}: reads", tuple(self.rates[1:]), "requests/s"),
            Row(f"{self.name}: CPU", tuple(self.cpu[1:]), "CPU-s/1,000", "less"),
            *(Row(f"{self.name}: p99 at {rate}/s", tuple(self.p99[rate][1:]), "ms", "less") for rate in RATES),
        ]


async def rows(platform: Platform, rounds: int) -> list[Row]:
    """Both doors' figures; ours come first. Raises: SystemExit if a request failed, for then the work was not equal."""
    stack = platform.layout
    async with peer(stack, sql.get_profile.sql) as (port, pid):
        postgres = platform.pid("postgres")
        ours = [platform.pid(name) for name in ("gateway", "users.sidecar", "users")]
        doors = (
            Door("tulle", stack.settings.http_port, [*ours, postgres], _requests(platform, stack.settings.http_port)),
            Door("fastapi", port, [pid, postgres], _requests(platform, port)),
        )
        for _ in range(rounds + 1):
            for door in doors:
                await door.throughput()
            for rate in RATES:
                for door in doors:
                    await door.latency(rate)
    for door in doors:
        if door.failures:
            raise SystemExit(f"{door.name} failed: {door.failures} (status and count); the figures would mean nothing")
    return [row for door in doors for row in door.rows()]


def _requests(platform: Platform, port: int) -> Callable[[], bytes]:
    """Requests of all people in turn."""
    turn = itertools.cycle([get(PATH, port, token) for token in platform.tokens])
    return lambda: next(turn)
