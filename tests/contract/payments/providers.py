"""The payment providers, each with what its payers and their banks do."""

from __future__ import annotations

from typing import Protocol

from services.billing.domain.ports import Payments, ProviderCharge, ProviderState
from services.billing.payments import StripePayments
from tests.fakes.payments import FakePayments
from tests.servers import PaymentProvider


class Provider(Protocol):
    """A provider under test."""

    @property
    def payments(self) -> Payments:
        """The provider."""

    def token(self, outcome: str) -> str:
        """Of a method whose charges are `ok`, `declined`, to `confirm` or `slow`; or which is `refused` itself."""

    async def confirm(self, charge: ProviderCharge, success: bool) -> None:
        """What the payer says to their bank."""

    async def cut(self) -> None:
        """The next request has its effect, and no answer comes."""

    async def decided(self, charge_id: str) -> None:
        """What is slow may take its time now."""


class Fake:
    def __init__(self) -> None:
        self.payments = FakePayments()

    def token(self, outcome: str) -> str:
        return outcome

    async def confirm(self, charge: ProviderCharge, success: bool) -> None:
        self._decide(charge.provider_id.removeprefix("pi_"), success)

    async def cut(self) -> None:
        self.payments.cuts = 1

    async def decided(self, charge_id: str) -> None:
        self._decide(charge_id, True)

    def _decide(self, charge_id: str, success: bool) -> None:
        self.payments.decide(charge_id, ProviderState.SUCCEEDED if success else ProviderState.DECLINED)


TOKENS = {
    "ok": "pm_card_visa",
    "declined": "pm_card_chargeCustomerFail",
    "confirm": "pm_card_authenticationRequired",
    "slow": "pm_success_de",
    "refused": "pm_card_visa_chargeDeclined",
}
"""Stripe's names of methods for tests, by outcome."""


class StandIn:
    """localstripe and what is added to it, over Stripe's own client."""

    def __init__(self, payments: StripePayments, server: PaymentProvider) -> None:
        self.payments = payments
        self.server = server

    def token(self, outcome: str) -> str:
        return TOKENS.get(outcome, outcome)

    async def confirm(self, charge: ProviderCharge, success: bool) -> None:
        form = {"client_secret": charge.client_secret, "success": str(success)}
        await self.server.ask("POST", f"/v1/payment_intents/{charge.provider_id}/_authenticate", data=form)

    async def cut(self) -> None:
        await self.server.faults(cut=1)

    async def decided(self, charge_id: str) -> None:
        """It takes half a second, which the test waits for."""
