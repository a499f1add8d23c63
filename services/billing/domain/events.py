"""What billing announces, and what it reminds itself of."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Self

from mesh.model import Caller, Event, OrganisationId, UserId
from services.billing.domain.entities import Invoice, Subscription


@dataclass(frozen=True, slots=True, kw_only=True)
class _OfSubscription(Event):
    resource: ClassVar[str] = "subscription"
    subscription_id: str
    user_id: UserId
    plan_id: str

    @classmethod
    def of(cls, caller: Caller, found: Subscription) -> Self:
        """The event of what happened to it."""
        ids = {"subscription_id": found.subscription_id, "user_id": found.user_id, "plan_id": found.plan_id}
        return cls.by(caller, found.subscription_id, found.organisation_id, **ids)


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionStarted(_OfSubscription):
    """A subscription can be used: its trial began, it is free, or its first invoice was paid."""

    type: ClassVar[str] = "tulle.billing.v1.SubscriptionStarted"


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionChanged(_OfSubscription):
    """A subscription has another plan, quantity or state, or is to end with its period, or no more."""

    type: ClassVar[str] = "tulle.billing.v1.SubscriptionChanged"


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionCancelled(_OfSubscription):
    """A subscription has ended."""

    type: ClassVar[str] = "tulle.billing.v1.SubscriptionCancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoicePaid(Event):
    """Nothing is due of an invoice any more."""

    type: ClassVar[str] = "tulle.billing.v1.InvoicePaid"
    resource: ClassVar[str] = "invoice"
    invoice_id: str
    user_id: UserId
    number: str
    amount_minor: int
    currency: str

    @classmethod
    def of(cls, caller: Caller, paid: Invoice) -> Self:
        """The event of its payment."""
        return cls.by(
            caller,
            paid.invoice_id,
            paid.organisation_id,
            invoice_id=paid.invoice_id,
            user_id=paid.user_id,
            number=paid.number,
            amount_minor=paid.total,
            currency=paid.currency,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentFailed(Event):
    """A payment was tried and failed; without a next attempt it was the last one."""

    type: ClassVar[str] = "tulle.billing.v1.PaymentFailed"
    resource: ClassVar[str] = "invoice"
    invoice_id: str
    user_id: UserId
    amount_minor: int
    currency: str
    next_attempt_time: datetime | None

    @classmethod
    def of(cls, caller: Caller, unpaid: Invoice, next_attempt_time: datetime | None) -> Self:
        """The event of the failure."""
        return cls.by(
            caller,
            unpaid.invoice_id,
            unpaid.organisation_id,
            invoice_id=unpaid.invoice_id,
            user_id=unpaid.user_id,
            amount_minor=unpaid.due,
            currency=unpaid.currency,
            next_attempt_time=next_attempt_time,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionDue(Event):
    """A period ends now."""

    type: ClassVar[str] = "tulle.billing.v1.SubscriptionDue"
    resource: ClassVar[str] = "subscription"
    subscription_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceDue(Event):
    """An open invoice is to be charged again, or given up."""

    type: ClassVar[str] = "tulle.billing.v1.InvoiceDue"
    resource: ClassVar[str] = "invoice"
    invoice_id: str


def due(kind: type[Event], caller: Caller, organisation_id: OrganisationId, object_id: str) -> Event:
    """The reminder of that kind about an object."""
    return kind.by(caller, object_id, organisation_id, **{f"{kind.resource}_id": object_id})
