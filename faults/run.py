"""What a run leaves for the laws, and what a law says of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from faults.evidence import Evidence
from faults.havoc import Harm
from faults.journal import Operation


@dataclass(frozen=True, slots=True)
class Violation:
    """A law that did not hold, and where."""

    law: str
    what: str


@dataclass(frozen=True)
class Run:
    """Everything that is known of a run. `lags`: (time, seconds) by which people's own clock stood still."""

    operations: Sequence[Operation]
    secrets: frozenset[str]
    harms: Sequence[Harm]
    poisoned: int
    lags: Sequence[tuple[float, float]]
    evidence: Evidence


Law: TypeAlias = Callable[[Run], Iterator[str]]
