"""Where billing is kept: what the use cases need of a database. tests/contract/billing says what it promises."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from mesh.model import OrganisationId
from services.billing.domain.ledger import Account, Balance, Transfer
from services.billing.domain.plans import Plan


class PlanStore(Protocol):
    """The catalogue, which migrations fill."""

    async def plans(self) -> Sequence[Plan]:
        """Those on offer, by product and price."""


class LedgerStore(Protocol):
    """The ledger."""

    async def post(self, transfer: Transfer) -> bool:
        """Keep a transfer; False if the same one is there. Raises: SourceReused if another one has its source."""

    async def balance(self, organisation_id: OrganisationId, account: Account, currency: str) -> int:
        """What one account of one organisation holds."""

    async def balances(self) -> Sequence[Balance]:
        """What the accounts of all organisations hold together, by account and currency."""


class Store(PlanStore, LedgerStore, Protocol):
    """All of it."""
