"""What billing keeps: subscriptions, invoices and what happens to them."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime

from mesh.model import OrganisationId, UserId

LARGEST_QUANTITY = 10_000
LARGEST_USE = 10**10
MOST_LINES = 100
"""Of a draft, after which no more changes wait in it."""
LARGEST_UNBILLED = 10**10
"""Minor units that may be used and not invoiced yet: with tax, far below what the ledger takes."""
BASIS_POINTS = 10_000


class SubscriptionState(enum.StrEnum):
    """INCOMPLETE until its first invoice is paid; PAST_DUE while a later one waits for its payment."""

    INCOMPLETE = "incomplete"
    TRIALING = "trialing"
    ACTIVE = "active"
    PAST_DUE = "past_due"
    ENDED = "ended"


class InvoiceState(enum.StrEnum):
    """A DRAFT still grows; the others have a number and never change but for their state."""

    DRAFT = "draft"
    OPEN = "open"
    PAID = "paid"
    UNCOLLECTIBLE = "uncollectible"
    VOID = "void"


class PaymentState(enum.StrEnum):
    """Of a charge or refund; CREATED: the provider may not have heard of it."""

    CREATED = "created"
    PENDING = "pending"
    ACTION_NEEDED = "action_needed"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


LIVE = frozenset({PaymentState.CREATED, PaymentState.PENDING, PaymentState.ACTION_NEEDED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Customer:
    """An organisation as somebody who pays: its id at the provider, the method that is charged there, and who it is.

    The last three stand on its invoices, each as they are when that is issued.
    """

    organisation_id: OrganisationId
    entity_id: str = "main"
    provider_id: str = ""
    method: str = ""
    name: str = ""
    address: str = ""
    tax_id: str = ""

    @property
    def buyer(self) -> str:
        """Who buys, as an invoice says it."""
        return "\n".join(part for part in (self.name, self.address, self.tax_id) if part)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entity:
    """A legal entity that sells, and the tax it adds."""

    entity_id: str
    name: str
    address: str
    tax_id: str
    prefix: str
    tax_name: str
    tax_basis_points: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """A plan that an organisation has; `user_id` is who subscribed and is told of what happens.

    Its periods are counted from `anchor`; a trial is a period before the first.
    """

    subscription_id: str
    organisation_id: OrganisationId
    user_id: UserId
    plan_id: str
    product: str
    quantity: int
    state: SubscriptionState
    anchor: datetime
    period: int
    period_start: datetime
    period_end: datetime
    trialed: bool
    cancel_at_period_end: bool
    create_time: datetime
    end_time: datetime | None = None
    version: int = 0

    @property
    def live(self) -> bool:
        """Whether it has not ended."""
        return self.state is not SubscriptionState.ENDED


@dataclass(frozen=True, slots=True)
class Line:
    """What an invoice is for. `amount` is without tax, and negative for what is given back."""

    description: str
    quantity: int
    amount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Invoice:
    """What an organisation has to pay, in minor units of one currency.

    `credited` was taken from the organisation's credit or a credit note before it was paid, `paid` came by
    charges. `next_attempt_time`: when the next charge is tried, or it is given up after the last one.
    """

    invoice_id: str
    organisation_id: OrganisationId
    user_id: UserId
    subscription_id: str
    entity_id: str
    state: InvoiceState
    currency: str
    period_start: datetime
    period_end: datetime
    create_time: datetime
    number: str = ""
    buyer: str = ""
    lines: tuple[Line, ...] = ()
    subtotal: int = 0
    tax_basis_points: int = 0
    tax: int = 0
    credited: int = 0
    paid: int = 0
    attempts: int = 0
    next_attempt_time: datetime | None = None
    finalise_time: datetime | None = None
    version: int = 0

    @property
    def total(self) -> int:
        """With tax."""
        return self.subtotal + self.tax

    @property
    def due(self) -> int:
        """What is still to be paid."""
        return self.total - self.credited - self.paid if self.state is InvoiceState.OPEN else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """One attempt to have an invoice paid. Its id is the idempotency key at the provider."""

    charge_id: str
    organisation_id: OrganisationId
    invoice_id: str
    method: str
    amount: int
    currency: str
    state: PaymentState
    create_time: datetime
    provider_id: str = ""
    failure: str = ""

    @property
    def live(self) -> bool:
        """Whether it is not decided."""
        return self.state in LIVE


@dataclass(frozen=True, slots=True, kw_only=True)
class Refund:
    """Part of a charge that is given back. Its id is the idempotency key at the provider."""

    refund_id: str
    organisation_id: OrganisationId
    charge_id: str
    amount: int
    currency: str
    state: PaymentState
    create_time: datetime
    provider_id: str = ""
    failure: str = ""


@dataclass(frozen=True, slots=True)
class Question:
    """A charge or refund that the provider is to be asked about; `request_id` and `traceparent` say because of what."""

    object_id: str
    request_id: str = ""
    traceparent: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CreditNote:
    """What takes back part of an invoice, with its tax."""

    credit_note_id: str
    organisation_id: OrganisationId
    invoice_id: str
    number: str
    amount: int
    tax: int
    currency: str
    reason: str
    create_time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """One use of something metered, under the client's own id."""

    organisation_id: OrganisationId
    subscription_id: str
    usage_id: str
    quantity: int
    create_time: datetime


def half_up(numerator: int, denominator: int) -> int:
    """The quotient, rounded to the nearest; a half away from zero."""
    sign = -1 if numerator < 0 else 1
    return sign * ((2 * abs(numerator) + denominator) // (2 * denominator))


def tax_of(subtotal: int, basis_points: int) -> int:
    """The tax on an invoice: of its sum, not of each line, and rounded once."""
    return half_up(subtotal * basis_points, BASIS_POINTS)
