"""Billing in memory. tests/contract/billing holds it to what the PostgreSQL store promises."""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from datetime import date, datetime
from typing import Any, TypeVar

from mesh.model import Caller, Event, OrganisationId
from services.billing.domain.drift import Reconciled
from services.billing.domain.entities import (
    Charge,
    CreditNote,
    Customer,
    Entity,
    Invoice,
    InvoiceState,
    Question,
    Refund,
    Subscription,
    Use,
)
from services.billing.domain.ledger import Account, Balance, SourceReused, Transfer
from services.billing.domain.money import Money
from services.billing.domain.plans import Interval, Plan
from services.billing.domain.ports import ProviderEntry


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
ENTITY = Entity(
    entity_id="main",
    name="Example GmbH",
    address="Musterstraße 1\n10115 Berlin",
    tax_id="DE123456789",
    prefix="EX",
    tax_name="VAT",
    tax_basis_points=1900,
)

T = TypeVar("T")


class FakeStore:
    """A `services.billing.domain.storage.Store`; `events` were announced, `reminders` will be, each at its time."""

    def __init__(self) -> None:
        self.transfers: dict[str, Transfer] = {}
        self.customers: dict[OrganisationId, Customer] = {}
        self.numbers: dict[tuple[str, str], int] = defaultdict(int)
        self.kept: dict[str, Any] = {}
        self.usage: dict[tuple[OrganisationId, str], Use] = {}
        self.billed: set[tuple[OrganisationId, str]] = set()
        self.events: list[tuple[int, Event]] = []
        self.reminders: list[tuple[datetime, Event]] = []
        self.notices: set[str] = set()
        self.questions: dict[str, datetime] = {}
        self.causes: dict[str, Caller] = {}
        self.reconciled: dict[date, Reconciled] = {}
        self._running = False

    async def run(self, work: Callable[[], Awaitable[T]]) -> T:
        if self._running:
            return await work()
        before = copy.deepcopy(self.__dict__)
        self._running = True
        try:
            return await work()
        except BaseException:
            self.__dict__.update(before)
            raise
        finally:
            self._running = False

    async def lock(self, organisation_id: OrganisationId) -> Customer:
        return self.customers.setdefault(organisation_id, Customer(organisation_id=organisation_id))

    async def customer(self, organisation_id: OrganisationId) -> Customer:
        return self.customers[organisation_id]

    async def put_customer(self, customer: Customer) -> None:
        self.customers[customer.organisation_id] = customer

    async def announce(self, event: Event, place: int) -> None:
        self.events.append((place, event))

    async def remind(self, event: Event, at: datetime) -> None:
        self.reminders.append((at, event))

    async def plans(self) -> Sequence[Plan]:
        return PLANS

    async def plan(self, plan_id: str) -> Plan | None:
        return next((plan for plan in PLANS if plan.plan_id == plan_id), None)

    async def entity(self, entity_id: str) -> Entity:
        assert entity_id == ENTITY.entity_id
        return ENTITY

    async def next_number(self, entity_id: str, kind: str) -> int:
        self.numbers[entity_id, kind] += 1
        return self.numbers[entity_id, kind]

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

    async def subscription(self, subscription_id: str) -> Subscription | None:
        return self.kept.get(subscription_id)

    async def live_subscription(self, organisation_id: OrganisationId, product: str) -> Subscription | None:
        return next((one for one in self._subscriptions(organisation_id, product) if one.live), None)

    async def has_live_subscription(self, organisation_id: OrganisationId) -> bool:
        return any(one.live for one in self.of(Subscription) if one.organisation_id == organisation_id)

    async def has_trialed(self, organisation_id: OrganisationId, product: str) -> bool:
        return any(one.trialed for one in self._subscriptions(organisation_id, product))

    async def subscriptions(self, organisation_id: OrganisationId, after: str, limit: int) -> Sequence[Subscription]:
        own = (one for one in self.of(Subscription) if one.organisation_id == organisation_id)
        return [one for one in own if one.subscription_id > after][:limit]

    async def put_subscription(self, subscription: Subscription) -> None:
        self.kept[subscription.subscription_id] = subscription

    async def use(self, use: Use, most: int) -> Use | None:
        key = (use.organisation_id, use.usage_id)
        known = ((key, one) for key, one in self.usage.items() if one.subscription_id == use.subscription_id)
        unbilled = sum(one.quantity for key, one in known if key not in self.billed)
        if key not in self.usage and (not self.kept[use.subscription_id].live or unbilled + use.quantity > most):
            return None
        return self.usage.setdefault(key, use)

    async def bill_usage(self, subscription_id: str, invoice_id: str) -> int:
        found = {key: use for key, use in self.usage.items() if use.subscription_id == subscription_id}
        new = {key: use for key, use in found.items() if key not in self.billed}
        self.billed |= set(new)
        return sum(use.quantity for use in new.values())

    async def invoice(self, invoice_id: str) -> Invoice | None:
        return self.kept.get(invoice_id)

    async def draft(self, subscription_id: str) -> Invoice | None:
        return next(iter(self._invoices(subscription_id, InvoiceState.DRAFT)), None)

    async def open_invoices(self, subscription_id: str) -> Sequence[Invoice]:
        return self._invoices(subscription_id, InvoiceState.OPEN)

    async def invoices(self, organisation_id: OrganisationId, after: str, limit: int) -> Sequence[Invoice]:
        own = (one for one in self.of(Invoice) if one.organisation_id == organisation_id)
        return [one for one in own if one.invoice_id > after][:limit]

    async def put_invoice(self, invoice: Invoice) -> None:
        before = self.kept.get(invoice.invoice_id)
        lines = before.lines if before else ()
        self.kept[invoice.invoice_id] = replace(invoice, lines=(*lines, *invoice.lines[len(lines) :]))

    async def put_credit_note(self, note: CreditNote) -> None:
        self.kept[note.credit_note_id] = note

    async def credit_notes(self, invoice_id: str) -> Sequence[CreditNote]:
        return [one for one in self.of(CreditNote) if one.invoice_id == invoice_id]

    async def charge(self, charge_id: str) -> Charge | None:
        return self.kept.get(charge_id)

    async def charges(self, invoice_id: str) -> Sequence[Charge]:
        return [one for one in self.of(Charge) if one.invoice_id == invoice_id]

    async def put_charge(self, charge: Charge) -> None:
        self.kept[charge.charge_id] = charge

    async def refund(self, refund_id: str) -> Refund | None:
        return self.kept.get(refund_id)

    async def refunds(self, charge_id: str) -> Sequence[Refund]:
        return [one for one in self.of(Refund) if one.charge_id == charge_id]

    async def moved(self, since: datetime) -> Sequence[ProviderEntry]:
        found = []
        for transfer in self.transfers.values():
            kind, _, object_id = transfer.source.partition(":")
            entries = [one for one in transfer.entries if one.account is Account.CLEARING]
            if kind in ("charge", "refund_done", "refund_returned") and transfer.create_time >= since:
                moneys = (Money(one.amount, one.currency) for one in entries)
                found += [ProviderEntry(self.kept[object_id].provider_id, one, transfer.create_time) for one in moneys]
        return found

    async def last_reconciled(self) -> date | None:
        return max(self.reconciled, default=None)

    async def keep_reconciled(self, done: Reconciled) -> None:
        self.reconciled.setdefault(done.day, done)

    async def ask(self, caller: Caller, object_id: str, at: datetime) -> None:
        self.questions[object_id] = at
        self.causes[object_id] = caller

    async def claim_question(self, now: datetime, until: datetime) -> Question | None:
        due = [(at, object_id) for object_id, at in self.questions.items() if at <= now]
        if not due:
            return None
        _, object_id = min(due)
        self.questions[object_id] = until
        cause = self.causes[object_id]
        return Question(object_id, cause.request_id, cause.traceparent)

    async def answered(self, object_id: str, until: datetime, again: datetime | None) -> None:
        if self.questions.get(object_id) != until:
            return
        if again:
            self.questions[object_id] = again
        else:
            del self.questions[object_id]

    async def take_notice(self, caller: Caller, notice_id: str, kind: str, object_id: str, now: datetime) -> bool:
        if notice_id in self.notices:
            return False
        self.notices.add(notice_id)
        if object_id:
            await self.ask(caller, object_id, now)
        return True

    async def put_refund(self, refund: Refund) -> None:
        self.kept[refund.refund_id] = refund

    def of(self, kind: type[T]) -> list[T]:
        """Everything of a kind, by id."""
        return [self.kept[key] for key in sorted(self.kept) if isinstance(self.kept[key], kind)]

    def _subscriptions(self, organisation_id: OrganisationId, product: str) -> Iterable[Subscription]:
        found = self.of(Subscription)
        return (one for one in found if (one.organisation_id, one.product) == (organisation_id, product))

    def _invoices(self, subscription_id: str, state: InvoiceState) -> list[Invoice]:
        return [one for one in self.of(Invoice) if (one.subscription_id, one.state) == (subscription_id, state)]
