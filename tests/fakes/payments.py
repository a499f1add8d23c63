"""A payment provider in memory; tests/contract/payments holds it to what the real ones promise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from mesh.model import OrganisationId, Unavailable
from services.billing.domain.errors import PaymentMethodDeclined, UnknownPaymentToken
from services.billing.domain.money import Money
from services.billing.domain.ports import (
    ChargeOrder,
    ProviderCharge,
    ProviderEntry,
    ProviderMethod,
    ProviderRefund,
    ProviderState,
    RefundOrder,
)

S = ProviderState
Moved = ProviderCharge | ProviderRefund
OUTCOMES = {"ok": S.SUCCEEDED, "declined": S.DECLINED, "confirm": S.ACTION_NEEDED, "slow": S.PENDING}
"""By the token of a method, what becomes of charges to it."""


@dataclass
class FakePayments:
    """A `services.billing.domain.ports.Payments`.

    `cuts`: as many of the next charges and refunds have their effect and no answer, as if the line broke. `beside`:
    what else moved in its books.
    """

    saved: dict[str, dict[str, ProviderMethod]] = field(default_factory=dict)
    charged: dict[str, tuple[ChargeOrder, ProviderCharge]] = field(default_factory=dict)
    refunded: dict[str, tuple[RefundOrder, ProviderRefund]] = field(default_factory=dict)
    refunds_fail: bool = False
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    times: dict[str, datetime] = field(default_factory=dict)
    cuts: int = 0
    beside: list[ProviderEntry] = field(default_factory=list)

    async def customer(self, organisation_id: OrganisationId) -> str:
        return f"cus_{organisation_id}"

    async def save_method(self, customer: str, token: str) -> ProviderMethod:
        if token == "refused":
            raise PaymentMethodDeclined
        if token not in OUTCOMES:
            raise UnknownPaymentToken
        saved = self.saved.setdefault(customer, {})
        method = ProviderMethod(f"pm_{len(saved)}_{token}", "visa", "4242")
        saved[method.method] = method
        return method

    async def methods(self, customer: str) -> Sequence[ProviderMethod]:
        return list(self.saved.get(customer, {}).values())

    async def remove_method(self, customer: str, method: str) -> None:
        self.saved.get(customer, {}).pop(method, None)

    async def charge(self, order: ChargeOrder) -> ProviderCharge:
        if order.charge_id not in self.charged and order.method not in self.saved.get(order.customer, {}):
            return ProviderCharge("", S.FAILED, failure="resource_missing")
        state = OUTCOMES[order.method.rpartition("_")[2]]
        made = ProviderCharge(
            f"pi_{order.charge_id}",
            state,
            client_secret=f"secret_{order.charge_id}" if state is S.ACTION_NEEDED else "",
            failure="card_declined" if state is S.DECLINED else "",
        )
        kept = self.charged.setdefault(order.charge_id, (order, made))
        self.times.setdefault(made.provider_id, self.now())
        assert kept[0] == order, "an idempotency key with another order"
        self._cut()
        return kept[1]

    async def find_charge(self, charge_id: str) -> ProviderCharge | None:
        return self.charged[charge_id][1] if charge_id in self.charged else None

    async def cancel(self, provider_id: str) -> ProviderCharge:
        charge_id = next(key for key, (_, made) in self.charged.items() if made.provider_id == provider_id)
        order, made = self.charged[charge_id]
        if made.state in (S.ACTION_NEEDED, S.DECLINED):
            self.charged[charge_id] = (order, replace(made, state=S.FAILED, client_secret="", failure="canceled"))
        self._cut()
        return self.charged[charge_id][1]

    async def refund(self, order: RefundOrder) -> ProviderRefund:
        if order.refund_id not in self.refunded and order.money.amount > self._left(order.charge):
            return ProviderRefund("", S.FAILED, failure="charge_already_refunded")
        made = ProviderRefund(f"re_{order.refund_id}", S.FAILED if self.refunds_fail else S.SUCCEEDED)
        kept = self.refunded.setdefault(order.refund_id, (order, made))
        self.times.setdefault(made.provider_id, self.now())
        self._cut()
        return kept[1]

    async def find_refund(self, order: RefundOrder) -> ProviderRefund | None:
        return self.refunded[order.refund_id][1] if order.refund_id in self.refunded else None

    async def journal(self, since: datetime) -> Sequence[ProviderEntry]:
        captured = [(made, order.money) for order, made in self.charged.values()]
        returned = [(made, replace(order.money, amount=-order.money.amount)) for order, made in self.refunded.values()]
        return [one for one in self.beside if one.time >= since] + [
            ProviderEntry(made.provider_id, money, self.times[made.provider_id])
            for made, money in _succeeded([*captured, *returned])
            if self.times[made.provider_id] >= since
        ]

    def decide(self, charge_id: str, state: ProviderState) -> None:
        """What the payer or their bank decides later, as long as they can."""
        order, made = self.charged[charge_id]
        if made.state not in (S.SUCCEEDED, S.FAILED):
            failure = "declined" if state is S.DECLINED else ""
            self.charged[charge_id] = (order, replace(made, state=state, client_secret="", failure=failure))

    def send_back(self, refund_id: str) -> None:
        """What a bank does that cannot take a refund, long after it was made."""
        order, made = self.refunded[refund_id]
        if made.state is S.SUCCEEDED:
            self.refunded[refund_id] = (order, replace(made, state=S.FAILED, failure="expired_or_canceled_card"))
            there = ProviderEntry(
                made.provider_id, replace(order.money, amount=-order.money.amount), self.times[made.provider_id]
            )
            self.beside += [there, replace(there, money=order.money, time=self.now())]

    def holds(self, currency: str) -> int:
        """What was captured and not given back."""
        captured = [order.money for order, made in self.charged.values() if made.state is S.SUCCEEDED]
        returned = [order.money for order, made in self.refunded.values() if made.state is S.SUCCEEDED]
        return sum(money.amount for money in captured if money.currency == currency) - sum(
            money.amount for money in returned if money.currency == currency
        )

    def _left(self, provider_id: str) -> int:
        captured = [o.money.amount for o, made in self.charged.values() if made.provider_id == provider_id]
        refunds = [(o, made) for o, made in self.refunded.values() if o.charge == provider_id]
        return sum(captured) - sum(o.money.amount for o, made in refunds if made.state is S.SUCCEEDED)

    def _cut(self) -> None:
        if self.cuts:
            self.cuts -= 1
            raise Unavailable


def _succeeded(moved: Sequence[tuple[Moved, Money]]) -> Sequence[tuple[Moved, Money]]:
    return [(made, money) for made, money in moved if made.state is S.SUCCEEDED]
