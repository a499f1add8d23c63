"""Once a day our books are held against the provider's: money that moved is in both, or somebody is told."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from services.billing.domain.money import Money
from services.billing.domain.ports import Payments, ProviderEntry
from services.billing.domain.storage import Store

SETTLED_AFTER = timedelta(hours=2)
"""After the end of a day, until what moved in it is in our books: open payments are looked at every hour."""
LAG = timedelta(days=3)
"""How long before our books the provider's may have had it, after an outage of ours."""


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
class Reconciled:
    """What came of a day: how many movements were compared, and where the books differ."""

    day: date
    finish_time: datetime
    compared: int
    drifts: tuple[Drift, ...]


class Reconciliation:
    """The use case."""

    def __init__(self, store: Store, payments: Payments, now: Callable[[], datetime]) -> None:
        self.store = store
        self.payments = payments
        self.now = now

    async def run(self) -> Reconciled | None:
        """Compare the last day that is settled, unless that was done. Raises: Unavailable."""
        now = self.now()
        day = (now - SETTLED_AFTER).astimezone(UTC).date() - timedelta(days=1)
        if await self.store.is_reconciled(day):
            return None
        since = datetime.combine(day, time(), UTC)
        ours, theirs = await self.store.moved(since - LAG), await self.payments.journal(since - LAG)
        found = tuple(drifts(ours, theirs, since, since + timedelta(days=1)))
        done = Reconciled(day, now, sum(since <= one.time < since + timedelta(days=1) for one in theirs), found)
        await self.store.keep_reconciled(done)
        return done


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


def _by_id(side: Sequence[ProviderEntry]) -> Mapping[str, tuple[Money, ...]]:
    found: dict[str, tuple[Money, ...]] = {}
    for one in side:
        found[one.provider_id] = (*found.get(one.provider_id, ()), one.money)
    return found
