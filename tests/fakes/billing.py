"""Billing in memory. tests/contract/billing holds it to what the PostgreSQL store promises."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from mesh.model import OrganisationId
from services.billing.domain.ledger import Account, Balance, SourceReused, Transfer
from services.billing.domain.plans import Interval, Plan


def _plan(plan_id: str, product: str, name: str, amount: int, **others: Any) -> Plan:
    usual: dict[str, Any] = {
        "interval": Interval.MONTH,
        "currency": "EUR",
        "unit": "seat",
        "unit_count": 1,
        "metered": False,
        "trial_days": 14,
    }
    return Plan(plan_id=plan_id, product=product, display_name=name, unit_amount=amount, **{**usual, **others})


PLANS = (
    _plan("api-calls", "api", "API calls", 50, unit="call", unit_count=1000, metered=True, trial_days=0),
    _plan("free", "workspace", "Free", 0, trial_days=0),
    _plan("team-monthly", "workspace", "Team, monthly", 900),
    _plan("team-monthly-usd", "workspace", "Team, monthly", 1000, currency="USD"),
    _plan("team-yearly", "workspace", "Team, yearly", 9000, interval=Interval.YEAR),
)
"""What the migrations fill the catalogue with."""


class FakeStore:
    """A `services.billing.domain.storage.Store`."""

    def __init__(self) -> None:
        self.transfers: dict[str, Transfer] = {}

    async def plans(self) -> Sequence[Plan]:
        return PLANS

    async def post(self, transfer: Transfer) -> bool:
        kept = self.transfers.get(transfer.source)
        if kept is not None and not kept.same(transfer):
            raise SourceReused(transfer.source)
        self.transfers.setdefault(transfer.source, transfer)
        return kept is None

    async def balance(self, organisation_id: OrganisationId, account: Account, currency: str) -> int:
        own = (one for one in self.transfers.values() if one.organisation_id == organisation_id)
        entries = (entry for one in own for entry in one.entries)
        return sum(entry.amount for entry in entries if (entry.account, entry.currency) == (account, currency))

    async def balances(self) -> Sequence[Balance]:
        sums: dict[tuple[Account, str], int] = defaultdict(int)
        for entry in (entry for one in self.transfers.values() for entry in one.entries):
            sums[entry.account, entry.currency] += entry.amount
        return [Balance(account, currency, amount) for (account, currency), amount in sorted(sums.items())]
