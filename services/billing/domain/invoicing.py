"""Invoices: how they grow, become due, and are paid, voided or given up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from mesh.model import Caller, new_id
from services.billing.domain import posting
from services.billing.domain.entities import (
    Charge,
    Customer,
    Invoice,
    InvoiceState,
    Line,
    PaymentState,
    Refund,
    Subscription,
    SubscriptionState,
    tax_of,
)
from services.billing.domain.events import InvoiceDue, InvoicePaid, PaymentFailed, due
from services.billing.domain.ledger import Account, Transfer
from services.billing.domain.lifecycle import Lifecycle
from services.billing.domain.storage import Store

RETRIES = (timedelta(days=1), timedelta(days=3), timedelta(days=5))
"""After each failed payment, how long until the next one is tried."""
GRACE = timedelta(days=7)
"""After the last one, until the invoice is given up and its subscription ends."""
INCOMPLETE_FOR = timedelta(hours=23)
"""How long the first payment of a subscription may take; shorter than a provider remembers an idempotency key."""


class Invoicing:
    """Each method runs in a transaction that has locked the organisation."""

    def __init__(self, store: Store, lifecycle: Lifecycle, now: Callable[[], datetime]) -> None:
        self.store = store
        self.lifecycle = lifecycle
        self.now = now

    async def add(self, draft: Invoice, found: Subscription, lines: Sequence[Line]) -> Invoice:
        """The draft with these lines more, for the subscription's present period."""
        if not lines:
            return draft
        draft = replace(
            draft,
            lines=(*draft.lines, *lines),
            subtotal=draft.subtotal + sum(line.amount for line in lines),
            period_start=found.period_start,
            period_end=found.period_end,
        )
        return await self._keep(draft)

    async def draft(self, customer: Customer, found: Subscription, currency: str) -> Invoice:
        """The subscription's draft, or a new one that is kept as soon as it has a line."""
        if kept := await self.store.draft(found.subscription_id):
            return kept
        now = self.now()
        return Invoice(
            invoice_id=new_id("invoice", now.timestamp()),
            organisation_id=found.organisation_id,
            user_id=found.user_id,
            subscription_id=found.subscription_id,
            entity_id=customer.entity_id,
            state=InvoiceState.DRAFT,
            currency=currency,
            period_start=found.period_start,
            period_end=found.period_end,
            create_time=now,
        )

    async def issue(self, caller: Caller, draft: Invoice, customer: Customer) -> Invoice:
        """Number the draft, post it and have it paid. One that sums to nothing or less waits for more lines."""
        if draft.subtotal <= 0:
            return draft
        entity, now = await self.store.entity(draft.entity_id), self.now()
        number = await self.store.next_number(entity.entity_id, "invoice")
        invoice = replace(
            draft,
            state=InvoiceState.OPEN,
            number=f"{entity.prefix}-{number:06d}",
            buyer=customer.buyer,
            tax_basis_points=entity.tax_basis_points,
            tax=tax_of(draft.subtotal, entity.tax_basis_points),
            finalise_time=now,
        )
        await self._post(posting.issued(invoice, now))
        invoice = await self._use_credit(invoice)
        if invoice.due == 0:
            return await self._paid(caller, invoice)
        return await self._collect(caller, invoice, customer)

    async def _use_credit(self, invoice: Invoice) -> Invoice:
        credit = -await self.store.balance(invoice.organisation_id, Account.CREDIT, invoice.currency)
        used = max(0, min(credit, invoice.total))
        await self._post(posting.credit_used(invoice, used, self.now()))
        return replace(invoice, credited=used)

    async def _collect(self, caller: Caller, invoice: Invoice, customer: Customer) -> Invoice:
        subscription = await self.lifecycle.get(invoice.subscription_id)
        if subscription.state is SubscriptionState.INCOMPLETE:
            invoice = await self.schedule(caller, invoice, self.now() + INCOMPLETE_FOR)
        else:
            invoice = await self._keep(invoice)
        if not customer.method:
            return await self.failed(caller, invoice)
        await self.attempt(caller, invoice, customer)
        return invoice

    async def attempt(
        self, caller: Caller, invoice: Invoice, customer: Customer, later: timedelta = timedelta(0)
    ) -> Charge:
        """Begin to charge what is due; the provider is asked after the commit, and so much `later` if need be."""
        now = self.now()
        charge = Charge(
            charge_id=new_id("charge", now.timestamp()),
            organisation_id=invoice.organisation_id,
            invoice_id=invoice.invoice_id,
            method=customer.method,
            amount=invoice.due,
            currency=invoice.currency,
            state=PaymentState.CREATED,
            create_time=now,
        )
        await self.store.put_charge(charge)
        await self.store.ask(caller, charge.charge_id, now + later)
        return charge

    async def captured(self, caller: Caller, charge: Charge) -> None:
        """A charge succeeded: it pays its invoice, as far as that needs it, and the rest is given back."""
        invoice = await self.get(charge.invoice_id)
        used = min(charge.amount, invoice.due)
        await self._post(posting.captured(charge, used, self.now()))
        if used:
            invoice = replace(invoice, paid=invoice.paid + used)
            await (self._paid(caller, invoice) if invoice.due == 0 else self._keep(invoice))
        if charge.amount > used:
            await self.give_back(caller, charge, charge.amount - used)

    async def failed(self, caller: Caller, invoice: Invoice) -> Invoice:
        """A payment failed. One that was planned is followed by the next; one that somebody asked for is not."""
        if invoice.state is not InvoiceState.OPEN:
            return invoice
        if invoice.next_attempt_time is None:
            invoice = replace(invoice, attempts=invoice.attempts + 1)
            pauses = (*RETRIES, GRACE)
            invoice = await self.schedule(caller, invoice, self.now() + pauses[min(invoice.attempts, len(pauses)) - 1])
        else:
            invoice = await self._keep(invoice)
        again = invoice.next_attempt_time if 0 < invoice.attempts <= len(RETRIES) else None
        await self.store.announce(PaymentFailed.of(caller, invoice, again), invoice.version)
        await self.lifecycle.unpaid(caller, invoice.subscription_id)
        return invoice

    async def schedule(self, caller: Caller, invoice: Invoice, at: datetime | None) -> Invoice:
        """Have the invoice looked at then, or by nobody."""
        if at is not None:
            await self.wake(caller, invoice, at)
        return await self._keep(replace(invoice, next_attempt_time=at))

    async def wake(self, caller: Caller, invoice: Invoice, at: datetime) -> None:
        """Have it looked at then."""
        await self.store.remind(due(InvoiceDue, caller, invoice.organisation_id, invoice.invoice_id), at)

    async def give_back(self, caller: Caller, charge: Charge, amount: int) -> Refund:
        """Begin to give back a part of a charge that is credit now."""
        now = self.now()
        refund = Refund(
            refund_id=new_id("refund", now.timestamp()),
            organisation_id=charge.organisation_id,
            charge_id=charge.charge_id,
            amount=amount,
            currency=charge.currency,
            state=PaymentState.CREATED,
            create_time=now,
        )
        await self._post(posting.refund_begun(refund, now))
        await self.store.put_refund(refund)
        await self.store.ask(caller, refund.refund_id, now)
        return refund

    async def credit(self, caller: Caller, invoice: Invoice, off: int) -> Invoice:
        """So much less is due."""
        invoice = replace(invoice, credited=invoice.credited + off)
        return await (self._paid(caller, invoice) if off and invoice.due == 0 else self._keep(invoice))

    async def void(self, caller: Caller, invoice: Invoice) -> Invoice:
        """It was never owed."""
        notes = await self.store.credit_notes(invoice.invoice_id)
        noted, noted_tax = sum(note.amount for note in notes), sum(note.tax for note in notes)
        await self._post(posting.voided(invoice, noted, noted_tax, self.now()))
        return await self._close(caller, invoice, InvoiceState.VOID)

    async def write_off(self, caller: Caller, invoice: Invoice) -> Invoice:
        """It is owed and will not be paid."""
        await self._post(posting.written_off(invoice, self.now()))
        return await self._close(caller, invoice, InvoiceState.UNCOLLECTIBLE)

    async def drop_draft(self, subscription_id: str) -> None:
        """What was not worth an invoice never becomes one."""
        if draft := await self.store.draft(subscription_id):
            await self._keep(replace(draft, state=InvoiceState.VOID))

    async def get(self, invoice_id: str) -> Invoice:
        """The invoice of a charge, which exists."""
        found = await self.store.invoice(invoice_id)
        assert found is not None, invoice_id
        return found

    async def live_charge(self, invoice: Invoice) -> Charge | None:
        """The attempt that is under way."""
        charges = await self.store.charges(invoice.invoice_id)
        return next((charge for charge in charges if charge.live), None)

    async def _paid(self, caller: Caller, invoice: Invoice) -> Invoice:
        invoice = await self._close(caller, invoice, InvoiceState.PAID)
        await self.store.announce(InvoicePaid.of(caller, invoice), invoice.version)
        await self.lifecycle.paid(caller, invoice.subscription_id)
        return invoice

    async def _close(self, caller: Caller, invoice: Invoice, state: InvoiceState) -> Invoice:
        """Nothing is due of it any more; what is still being charged for it is cancelled soon."""
        if charge := await self.live_charge(invoice):
            await self.store.ask(caller, charge.charge_id, self.now())
        return await self._keep(replace(invoice, state=state, next_attempt_time=None))

    async def _keep(self, invoice: Invoice) -> Invoice:
        invoice = replace(invoice, version=invoice.version + 1)
        await self.store.put_invoice(invoice)
        return invoice

    async def _post(self, transfer: Transfer | None) -> None:
        if transfer is not None:
            await self.store.post(transfer)
