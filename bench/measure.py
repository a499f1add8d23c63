"""Interleaved rounds and their ratios: what makes a figure on a shared machine worth quoting."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import psutil


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the report: a figure for each round, in `unit`; `better` is `more` or `less`."""

    name: str
    values: tuple[float, ...]
    unit: str
    better: str = "more"

    @property
    def median(self) -> float:
        return statistics.median(self.values)


@dataclass(frozen=True, slots=True)
class Ratio:
    """Ours against the peer's, round by round. Above 1 means that ours is better."""

    name: str
    values: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def spread(self) -> tuple[float, float]:
        """Smallest and largest ratio of a round."""
        return min(self.values), max(self.values)


def ratio(name: str, ours: Row, peer: Row) -> Ratio:
    """Pair the rounds of two rows of the same run."""
    pairs = zip(ours.values, peer.values, strict=True)
    return Ratio(name, tuple(a / b if ours.better == "more" else b / a for a, b in pairs))


def cpu_seconds(pids: Iterable[int]) -> float:
    """User and system time of processes and their living children, in seconds."""
    return sum(_times(process) for pid in pids for process in _family(psutil.Process(pid)))


def _family(process: psutil.Process) -> Sequence[psutil.Process]:
    return [process, *process.children(recursive=True)]


def _times(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system)
