"""Where our books and the payment provider's differ: what that is, and how it is found."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from services.billing.domain.money import Money
from services.billing.domain.ports import ProviderEntry


class DriftKind(enum.StrEnum):
    """How the books differ."""

    MISSING_HERE = "missing_here"
    MISSING_THERE = "missing_there"
    DIFFERENT = "different"


@dataclass(frozen=True, slots=True)
class Drift:
    """A charge or refund of which the books differ, by the provider's id; what each side says of it."""

    kind: DriftKind
    provider_id: str
    here: tuple[Money, ...] = ()
    there: tuple[Money, ...] = ()


@dataclass(frozen=True, slots=True)
class Beside:
    """What moved at the provider and is neither charge nor refund: how often, and how much together."""

    kind: str
    count: int
    money: Money


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What came of a day: how many movements were compared, where the books differ, what only the provider has."""

    day: date
    finish_time: datetime
    compared: int
    drifts: tuple[Drift, ...]
    beside: tuple[Beside, ...] = ()


def drifts(
    ours: Sequence[ProviderEntry], theirs: Sequence[ProviderEntry], since: datetime, until: datetime
) -> Iterator[Drift]:
    """Where the books differ in what moved from `since` to before `until`, each by its own clock."""
    moved = {one.provider_id for one in (*ours, *theirs) if since <= one.time < until}
    here_by_id, there_by_id = _by_id(ours), _by_id(theirs)
    for provider_id in sorted(moved):
        here, there = here_by_id.get(provider_id, ()), there_by_id.get(provider_id, ())
        if not here:
            yield Drift(DriftKind.MISSING_HERE, provider_id, here, there)
        elif not there:
            yield Drift(DriftKind.MISSING_THERE, provider_id, here, there)
        elif Counter(here) != Counter(there):
            yield Drift(DriftKind.DIFFERENT, provider_id, here, there)


def beside(theirs: Sequence[ProviderEntry]) -> Iterator[Beside]:
    """What is not ours to compare, by kind and currency."""
    found: dict[tuple[str, str], list[int]] = {}
    for one in theirs:
        if one.kind:
            found.setdefault((one.kind, one.money.currency), []).append(one.money.amount)
    for (kind, currency), amounts in sorted(found.items()):
        yield Beside(kind, len(amounts), Money(sum(amounts), currency))


def _by_id(side: Sequence[ProviderEntry]) -> Mapping[str, tuple[Money, ...]]:
    found: dict[str, tuple[Money, ...]] = {}
    for one in side:
        found[one.provider_id] = (*found.get(one.provider_id, ()), one.money)
    return found
