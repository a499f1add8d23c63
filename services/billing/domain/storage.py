"""Where billing is kept: what the use cases need of a database. tests/contract/billing says what it promises."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import date, datetime
from typing import Protocol, TypeVar

from mesh.model import Caller, Event, OrganisationId
from services.billing.domain.drift import Reconciled
from services.billing.domain.entities import (
    Charge,
    CreditNote,
    Customer,
    Entity,
    Invoice,
    Question,
    Refund,
    Subscription,
    Use,
)
from services.billing.domain.ledger import Account, Balance, Transfer
from services.billing.domain.plans import Plan
from services.billing.domain.ports import ProviderEntry

T = TypeVar("T")


class PlanStore(Protocol):
    """The catalogue and the sellers, which migrations fill."""

    async def plans(self) -> Sequence[Plan]:
        """Those on offer, by product and price."""

    async def plan(self, plan_id: str) -> Plan | None:
        """A plan, also one that is not on offer any more."""

    async def entity(self, entity_id: str) -> Entity:
        """A legal entity."""

    async def next_number(self, entity_id: str, kind: str) -> int:
        """The next number of `invoice` or `credit_note`; taken only if the transaction is committed."""


class LedgerStore(Protocol):
    """The ledger."""

    async def post(self, transfer: Transfer) -> bool:
        """Keep a transfer; False if the same one is there. Raises: SourceReused if another one has its source."""

    async def balance(self, organisation_id: OrganisationId, account: Account, currency: str) -> int:
        """What one account of one organisation holds."""

    async def balances(self) -> Sequence[Balance]:
        """What the accounts of all organisations hold together, by account and currency."""


class SubscriptionStore(Protocol):
    """Who has what, and what they used."""

    async def subscription(self, subscription_id: str) -> Subscription | None:
        """A subscription."""

    async def live_subscription(self, organisation_id: OrganisationId, product: str) -> Subscription | None:
        """The one that has not ended."""

    async def has_live_subscription(self, organisation_id: OrganisationId) -> bool:
        """Whether there is one that has not ended."""

    async def has_trialed(self, organisation_id: OrganisationId, product: str) -> bool:
        """Whether there ever was a trial of the product."""

    async def subscriptions(self, organisation_id: OrganisationId, after: str, limit: int) -> Sequence[Subscription]:
        """At most `limit` whose ids come after `after`, by id."""

    async def put_subscription(self, subscription: Subscription) -> None:
        """Keep it, or its next version."""

    async def use(self, use: Use, most: int) -> Use | None:
        """Keep a use, unless its id is known; what is kept under its id then.

        None: the subscription has ended, or more than `most` would be used and on no invoice.
        """

    async def bill_usage(self, subscription_id: str, invoice_id: str) -> int:
        """Give all uses that are on no invoice to this one; their sum. Until the transaction ends none is added."""


class InvoiceStore(Protocol):
    """What is to be paid, and what was taken back."""

    async def invoice(self, invoice_id: str) -> Invoice | None:
        """An invoice with its lines."""

    async def draft(self, subscription_id: str) -> Invoice | None:
        """The subscription's draft."""

    async def open_invoices(self, subscription_id: str) -> Sequence[Invoice]:
        """The subscription's open invoices, oldest first."""

    async def invoices(self, organisation_id: OrganisationId, after: str, limit: int) -> Sequence[Invoice]:
        """At most `limit` whose ids come after `after`, by id."""

    async def put_invoice(self, invoice: Invoice) -> None:
        """Keep it, or its next version; lines are only added."""

    async def put_credit_note(self, note: CreditNote) -> None:
        """Keep it."""

    async def credit_notes(self, invoice_id: str) -> Sequence[CreditNote]:
        """The invoice's, oldest first."""


class PaymentStore(Protocol):
    """What was asked of the payment provider."""

    async def charge(self, charge_id: str) -> Charge | None:
        """A charge."""

    async def charges(self, invoice_id: str) -> Sequence[Charge]:
        """All attempts to have an invoice paid, oldest first."""

    async def put_charge(self, charge: Charge) -> None:
        """Keep it, or what has become of it."""

    async def refund(self, refund_id: str) -> Refund | None:
        """A refund."""

    async def refunds(self, charge_id: str) -> Sequence[Refund]:
        """The charge's, oldest first."""

    async def put_refund(self, refund: Refund) -> None:
        """Keep it, or what has become of it."""

    async def ask(self, caller: Caller, object_id: str, at: datetime) -> None:
        """Have the provider asked then about a charge or refund, also if somebody is asking already."""

    async def claim_question(self, now: datetime, until: datetime) -> Question | None:
        """The charge or refund that is to be asked about, longest due first; nobody else is given it until then."""

    async def answered(self, object_id: str, until: datetime, again: datetime | None) -> None:
        """Give back what was claimed `until` then, to be asked again or no more; nothing if it is asked anew since."""

    async def take_notice(self, caller: Caller, notice_id: str, kind: str, object_id: str, now: datetime) -> bool:
        """Keep that the provider told us something, and have it asked about the charge or refund, if one is named.

        Nothing, and False, if that is known.
        """


class ReconciliationStore(Protocol):
    """Our side of what moved at the provider, and what came of comparing it."""

    async def moved(self, since: datetime) -> Sequence[ProviderEntry]:
        """What our books say since then of money that the provider holds for us, by the provider's ids."""

    async def last_reconciled(self) -> date | None:
        """The last day that was compared, if any was."""

    async def keep_reconciled(self, done: Reconciled) -> None:
        """Keep what came of a day, unless there is something already."""


class Store(PlanStore, LedgerStore, SubscriptionStore, InvoiceStore, PaymentStore, ReconciliationStore, Protocol):
    """All of it."""

    async def run(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do all of `work` or nothing; it may be run again, and joins what is under way."""

    async def lock(self, organisation_id: OrganisationId) -> Customer:
        """The organisation as a customer; until the end of the transaction nobody else changes what is its."""

    async def customer(self, organisation_id: OrganisationId) -> Customer:
        """The organisation as a customer, who must have been locked before."""

    async def put_customer(self, customer: Customer) -> None:
        """Keep it."""

    async def announce(self, event: Event, place: int) -> None:
        """Publish what happened, as number `place` of its aggregate's history."""

    async def remind(self, event: Event, at: datetime) -> None:
        """Publish a reminder then."""
