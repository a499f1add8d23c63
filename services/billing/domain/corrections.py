"""What administrators put right: credit notes, refunds, and invoices that should not be."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from mesh.model import Caller, new_id
from services.billing.domain import posting
from services.billing.domain.entities import (
    Charge,
    CreditNote,
    Invoice,
    InvoiceState,
    PaymentState,
    Refund,
    half_up,
)
from services.billing.domain.errors import (
    CreditTooLarge,
    InvoiceNotFinal,
    InvoiceNotFound,
    InvoiceNotOpen,
    PaymentUnderWay,
    RefundTooLarge,
    refuse,
)
from services.billing.domain.invoicing import Invoicing
from services.billing.domain.storage import Store


class Corrections:
    """The use cases."""

    def __init__(self, store: Store, invoicing: Invoicing, now: Callable[[], datetime]) -> None:
        self.store = store
        self.invoicing = invoicing
        self.now = now

    async def credit(self, caller: Caller, invoice_id: str, amount: int, reason: str) -> CreditNote:
        """Take back part of an invoice, tax included: off what is due, the rest as credit for the next one.

        Raises: InvoiceNotFound; InvoiceNotFinal; CreditTooLarge.
        """

        async def credited() -> CreditNote:
            return await self._note(caller, await self._locked(invoice_id), amount, reason)

        return await self.store.run(credited)

    async def refund(self, caller: Caller, invoice_id: str, amount: int | None, reason: str) -> Refund:
        """Give back part of what was paid, None for what is left of it, with a credit note for as much.

        Raises: InvoiceNotFound; InvoiceNotFinal; RefundTooLarge.
        """

        async def refunded() -> Refund:
            invoice = await self._locked(invoice_id)
            if invoice.state is not InvoiceState.PAID:
                raise InvoiceNotFinal
            charge, left = await self._refundable(invoice)
            wanted = left if amount is None else amount
            if charge is None or not 0 < wanted <= left:
                refuse(RefundTooLarge, "amount_minor", f"must be at most {left}")
            await self._note(caller, invoice, wanted, reason)
            return await self.invoicing.give_back(caller, charge, wanted)

        return await self.store.run(refunded)

    async def void(self, caller: Caller, invoice_id: str) -> Invoice:
        """Take back an invoice of which nothing was paid. Raises: InvoiceNotFound; InvoiceNotOpen; PaymentUnderWay."""

        async def voided() -> Invoice:
            invoice = await self._locked(invoice_id)
            if invoice.state is not InvoiceState.OPEN or invoice.paid:
                raise InvoiceNotOpen
            if await self.invoicing.live_charge(invoice):
                raise PaymentUnderWay
            invoice = await self.invoicing.void(caller, invoice)
            await self.invoicing.lifecycle.waived(caller, invoice.subscription_id)
            return invoice

        return await self.store.run(voided)

    async def _note(self, caller: Caller, invoice: Invoice, amount: int, reason: str) -> CreditNote:
        if invoice.state not in (InvoiceState.OPEN, InvoiceState.PAID):
            raise InvoiceNotFinal
        earlier = await self.store.credit_notes(invoice.invoice_id)
        noted, noted_tax = sum(note.amount for note in earlier), sum(note.tax for note in earlier)
        if not 0 < amount <= invoice.total - noted:
            refuse(CreditTooLarge, "amount_minor", f"must be 1 to {invoice.total - noted}")
        entity, now = await self.store.entity(invoice.entity_id), self.now()
        number = await self.store.next_number(entity.entity_id, "credit_note")
        note = CreditNote(
            credit_note_id=new_id("credit_note", now.timestamp()),
            organisation_id=invoice.organisation_id,
            invoice_id=invoice.invoice_id,
            number=f"{entity.prefix}-C-{number:06d}",
            amount=amount,
            # Of all notes together, so that taking back the whole invoice takes back its tax to the cent.
            tax=half_up((noted + amount) * invoice.tax, invoice.total) - noted_tax,
            currency=invoice.currency,
            reason=reason,
            create_time=now,
        )
        await self._keep(caller, invoice, note)
        return note

    async def _keep(self, caller: Caller, invoice: Invoice, note: CreditNote) -> None:
        off = min(note.amount, invoice.due)
        await self.store.put_credit_note(note)
        if transfer := posting.credited(note, off, self.now()):
            await self.store.post(transfer)
        if off:
            await self.invoicing.credit(caller, invoice, off)

    async def _refundable(self, invoice: Invoice) -> tuple[Charge | None, int]:
        """The charge that paid most of the invoice, and what can still be given back of it."""
        noted = sum(note.amount for note in await self.store.credit_notes(invoice.invoice_id))
        best: tuple[Charge | None, int] = (None, 0)
        for charge in await self.store.charges(invoice.invoice_id):
            left = min(await self._left(charge), invoice.total - noted)
            best = (charge, left) if left > best[1] else best
        return best

    async def _left(self, charge: Charge) -> int:
        if charge.state is not PaymentState.SUCCEEDED:
            return 0
        refunds = await self.store.refunds(charge.charge_id)
        return charge.amount - sum(refund.amount for refund in refunds if refund.state is not PaymentState.FAILED)

    async def _locked(self, invoice_id: str) -> Invoice:
        if (found := await self.store.invoice(invoice_id)) is None:
            raise InvoiceNotFound
        await self.store.lock(found.organisation_id)
        return await self.invoicing.get(invoice_id)
