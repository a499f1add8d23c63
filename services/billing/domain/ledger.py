"""The ledger: each movement of money is a transfer whose entries sum to zero in each currency.

An amount is positive where money is owed to us or held by us (debit), negative where we owe it or have earned
it (credit). Nothing is ever changed: what was wrong is put right by another transfer. A balance is a sum of
entries and is kept nowhere.
"""

from __future__ import annotations

import enum
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from mesh.model import OrganisationId

LARGEST_AMOUNT = 10**12
"""Minor units in one entry: what is larger is a mistake, and sums of a million of them fit into 64 bits."""


class Account(enum.StrEnum):
    """Where money can be. Each organisation has its own of each; the platform's is the sum of them."""

    RECEIVABLE = "receivable"
    """What customers owe us for invoices."""
    CLEARING = "clearing"
    """What the payment provider holds for us."""
    CREDIT = "credit"
    """What we owe customers: credit for their next invoice."""
    REFUNDS = "refunds"
    """Refunds under way at the provider."""
    REVENUE = "revenue"
    """What we earned."""
    TAX = "tax"
    """What we owe the tax office."""
    BAD_DEBT = "bad_debt"
    """What customers never paid."""


class Unbalanced(ValueError):
    """The entries of a transfer do not sum to zero."""


class SourceReused(ValueError):
    """Another transfer was posted for this source."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One side of a transfer."""

    account: Account
    amount: int
    currency: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """One movement of money of one organisation. `source` says of what; there is one transfer for each.

    Raises: Unbalanced; ValueError if an entry is empty or too large, or there are none.
    """

    source: str
    organisation_id: OrganisationId
    entries: tuple[Entry, ...]
    create_time: datetime

    def __post_init__(self) -> None:
        if any(not 0 < abs(entry.amount) <= LARGEST_AMOUNT for entry in self.entries):
            raise ValueError(f"{self.source}: an entry moves something, and at most {LARGEST_AMOUNT}")
        if not self.entries or any(balances(self.entries).values()):
            raise Unbalanced(f"{self.source}: {balances(self.entries)}")

    def same(self, other: Transfer) -> bool:
        """Whether both move the same."""
        return (self.organisation_id, self.entries) == (other.organisation_id, other.entries)


@dataclass(frozen=True, slots=True)
class Balance:
    """What an account holds in one currency."""

    account: Account
    currency: str
    amount: int


def moved(
    source: str, organisation_id: OrganisationId, currency: str, now: datetime, **amounts: int
) -> Transfer | None:
    """The transfer with these amounts by account; None if nothing moves. Raises: as Transfer does."""
    entries = tuple(Entry(Account(name), amount, currency) for name, amount in sorted(amounts.items()) if amount)
    if not entries:
        return None
    return Transfer(source=source, organisation_id=organisation_id, entries=entries, create_time=now)


def balances(entries: Iterable[Entry]) -> Mapping[str, int]:
    """By currency, the sum of the entries."""
    sums: dict[str, int] = defaultdict(int)
    for entry in entries:
        sums[entry.currency] += entry.amount
    return sums
