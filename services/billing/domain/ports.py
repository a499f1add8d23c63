"""What the use cases need of a payment provider. tests/contract/payments says what it promises."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from mesh.model import OrganisationId
from services.billing.domain.money import Money


class ProviderState(enum.StrEnum):
    """What has become of a charge or refund at the provider.

    DECLINED: the method of a charge was refused, and its payer may yet pay it with another one. FAILED: it is over.
    """

    PENDING = "pending"
    ACTION_NEEDED = "action_needed"
    DECLINED = "declined"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class ProviderMethod:
    """A saved way to pay; `last4` is empty of what has no number, such as a wallet."""

    method: str
    brand: str
    last4: str


@dataclass(frozen=True, slots=True)
class ChargeOrder:
    """What is to be charged; `charge_id` is the idempotency key at the provider."""

    charge_id: str
    customer: str
    method: str
    money: Money
    description: str


@dataclass(frozen=True, slots=True)
class ProviderCharge:
    """A charge as the provider sees it now."""

    provider_id: str
    state: ProviderState
    client_secret: str = ""
    failure: str = ""


@dataclass(frozen=True, slots=True)
class RefundOrder:
    """What is to be given back; `refund_id` is the idempotency key, `charge` the provider's id of the charge."""

    refund_id: str
    charge: str
    money: Money


@dataclass(frozen=True, slots=True)
class ProviderRefund:
    """A refund as the provider sees it now."""

    provider_id: str
    state: ProviderState
    failure: str = ""


@dataclass(frozen=True, slots=True)
class ProviderEntry:
    """Money that moved, as the provider's own books say: a charge, or a refund if `money` is negative.

    `kind` is in the provider's words what else it is, such as `payout`, `fee` or `dispute`: our books have none of it.
    """

    provider_id: str
    money: Money
    time: datetime
    kind: str = ""


class Payments(Protocol):
    """A payment provider. Each method raises Unavailable when it cannot be asked."""

    async def customer(self, organisation_id: OrganisationId) -> str:
        """The provider's id of the organisation, made at the first call."""

    async def save_method(self, customer: str, token: str) -> ProviderMethod:
        """Keep what a token of the client stands for. Raises: UnknownPaymentToken; PaymentMethodDeclined."""

    async def methods(self, customer: str) -> Sequence[ProviderMethod]:
        """What was saved."""

    async def remove_method(self, customer: str, method: str) -> None:
        """Forget one."""

    async def charge(self, order: ChargeOrder) -> ProviderCharge:
        """Charge, once for each charge_id."""

    async def find_charge(self, charge_id: str) -> ProviderCharge | None:
        """What became of it, if the provider has ever seen it."""

    async def cancel(self, provider_id: str) -> ProviderCharge:
        """Have a charge FAILED for good, unless it is too late; what has become of it then. Again it is the same."""

    async def refund(self, order: RefundOrder) -> ProviderRefund:
        """Give back, once for each refund_id."""

    async def find_refund(self, order: RefundOrder) -> ProviderRefund | None:
        """What became of it, if the provider has ever seen it."""

    async def journal(self, since: datetime) -> Sequence[ProviderEntry]:
        """All money that moved since then, by the provider's own books."""
