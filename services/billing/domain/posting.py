"""Which transfer each happening posts: billing's whole bookkeeping on one page.

A debit is positive. Each transfer is named by its source, so that it is posted once.
"""

from __future__ import annotations

from datetime import datetime

from services.billing.domain.entities import Charge, CreditNote, Invoice, Refund
from services.billing.domain.ledger import Transfer, moved


def issued(invoice: Invoice, now: datetime) -> Transfer | None:
    """The customer owes the total, of which we earned the sum and owe the tax."""
    return moved(
        f"invoice:{invoice.invoice_id}",
        invoice.organisation_id,
        invoice.currency,
        now,
        receivable=invoice.total,
        revenue=-invoice.subtotal,
        tax=-invoice.tax,
    )


def credit_used(invoice: Invoice, amount: int, now: datetime) -> Transfer | None:
    """The customer's credit pays part of an invoice."""
    source = f"credit_used:{invoice.invoice_id}"
    return moved(source, invoice.organisation_id, invoice.currency, now, credit=amount, receivable=-amount)


def captured(charge: Charge, used: int, now: datetime) -> Transfer | None:
    """The provider holds the charge for us; what its invoice did not need any more is the customer's credit."""
    return moved(
        f"charge:{charge.charge_id}",
        charge.organisation_id,
        charge.currency,
        now,
        clearing=charge.amount,
        receivable=-used,
        credit=used - charge.amount,
    )


def written_off(invoice: Invoice, now: datetime) -> Transfer | None:
    """What is due will never be paid."""
    source = f"write_off:{invoice.invoice_id}"
    return moved(source, invoice.organisation_id, invoice.currency, now, bad_debt=invoice.due, receivable=-invoice.due)


def voided(invoice: Invoice, noted: int, noted_tax: int, now: datetime) -> Transfer | None:
    """All that credit notes have not taken back is taken back; credit that was used returns."""
    left = invoice.total - noted
    left_tax = invoice.tax - noted_tax
    return moved(
        f"void:{invoice.invoice_id}",
        invoice.organisation_id,
        invoice.currency,
        now,
        receivable=-invoice.due,
        revenue=left - left_tax,
        tax=left_tax,
        credit=invoice.due - left,
    )


def credited(note: CreditNote, off_due: int, now: datetime) -> Transfer | None:
    """We earned less, and owe less tax; the customer owes `off_due` less and has the rest as credit."""
    return moved(
        f"credit_note:{note.credit_note_id}",
        note.organisation_id,
        note.currency,
        now,
        revenue=note.amount - note.tax,
        tax=note.tax,
        receivable=-off_due,
        credit=off_due - note.amount,
    )


def refund_begun(refund: Refund, now: datetime) -> Transfer | None:
    """Credit is set aside to be given back."""
    return _of_refund("refund", refund, now, credit=refund.amount, refunds=-refund.amount)


def refund_done(refund: Refund, now: datetime) -> Transfer | None:
    """The provider gave it back out of what it holds."""
    return _of_refund("refund_done", refund, now, refunds=refund.amount, clearing=-refund.amount)


def refund_failed(refund: Refund, now: datetime) -> Transfer | None:
    """It could not be given back and is the customer's credit again."""
    return _of_refund("refund_failed", refund, now, refunds=refund.amount, credit=-refund.amount)


def refund_returned(refund: Refund, now: datetime) -> Transfer | None:
    """It was given back and came back to the provider: the customer's credit again."""
    return _of_refund("refund_returned", refund, now, clearing=refund.amount, credit=-refund.amount)


def _of_refund(kind: str, refund: Refund, now: datetime, **amounts: int) -> Transfer | None:
    return moved(f"{kind}:{refund.refund_id}", refund.organisation_id, refund.currency, now, **amounts)
