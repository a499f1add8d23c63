"""Invoices on paper."""

from __future__ import annotations

import unicodedata
from datetime import datetime
from decimal import Decimal

from babel.dates import format_date
from babel.numbers import format_currency, format_decimal, get_currency_precision
from fpdf import FPDF
from fpdf.enums import XPos, YPos

from services.billing.domain.entities import Entity, Invoice, InvoiceState

LOCALE = "en"
WIDTHS = (100, 30, 50)
"""Of the columns, in millimetres: what, how many, how much."""
_TITLES = {InvoiceState.VOID: "Invoice, void", InvoiceState.UNCOLLECTIBLE: "Invoice, given up"}


def invoice_pdf(invoice: Invoice, seller: Entity) -> bytes:
    """The invoice as a PDF: the same bytes whenever it is asked for in the same state."""
    pdf = FPDF(format="A4")
    # Helvetica stands in every reader and has Western Europe's letters; EUR is written out.
    pdf.set_font("helvetica", size=10)
    pdf.set_creation_date(invoice.finalise_time)
    pdf.set_title(invoice.number)
    pdf.set_author(_latin(seller.name))
    pdf.add_page()
    _head(pdf, invoice, seller)
    _lines(pdf, invoice)
    _sums(pdf, invoice, seller)
    return bytes(pdf.output())


def _head(pdf: FPDF, invoice: Invoice, seller: Entity) -> None:
    _text(pdf, f"{seller.name}\n{seller.address}\n{seller.tax_id}")
    pdf.ln(8)
    pdf.set_font(size=18)
    _text(pdf, f"{_TITLES.get(invoice.state, 'Invoice')} {invoice.number}", 10)
    pdf.set_font(size=10)
    assert invoice.finalise_time is not None
    period = f"{_date(invoice.period_start)} to {_date(invoice.period_end)}"
    _text(pdf, f"Date: {_date(invoice.finalise_time)}\nPeriod: {period}")
    pdf.ln(4)
    _text(pdf, invoice.buyer or invoice.organisation_id)
    pdf.ln(6)


def _lines(pdf: FPDF, invoice: Invoice) -> None:
    _row(pdf, "Description", "Quantity", f"Amount, {invoice.currency}", bold=True)
    for line in invoice.lines:
        quantity = format_decimal(line.quantity, locale=LOCALE)
        _row(pdf, line.description, quantity, _amount(line.amount, invoice.currency))


def _sums(pdf: FPDF, invoice: Invoice, seller: Entity) -> None:
    rate = format_decimal(invoice.tax_basis_points / 100, locale=LOCALE)
    sums = [
        ("Sum", invoice.subtotal),
        (f"{seller.tax_name} {rate} %", invoice.tax),
        ("Total", invoice.total),
        ("Credit", -invoice.credited),
        ("Paid", -invoice.paid),
    ]
    pdf.ln(2)
    for name, amount in sums:
        if amount or name == "Total":
            _row(pdf, "", name, _amount(amount, invoice.currency), bold=name == "Total")
    _row(pdf, "", "Due", money(invoice.due, invoice.currency), bold=True)


def money(amount: int, currency: str) -> str:
    """An amount in minor units for people, such as `EUR 1,234.50`; as many digits as the currency has."""
    return _major(amount, currency, "¤¤ #,##0.00")


def _amount(amount: int, currency: str) -> str:
    return _major(amount, currency, "#,##0.00")


def _major(amount: int, currency: str, pattern: str) -> str:
    major = Decimal(amount).scaleb(-get_currency_precision(currency))
    return format_currency(major, currency, pattern, locale=LOCALE).replace("\xa0", " ")


def _row(pdf: FPDF, what: str, many: str, much: str, bold: bool = False) -> None:
    pdf.set_font(style="B" if bold else "")
    pdf.cell(WIDTHS[0], 6, _latin(what))
    pdf.cell(WIDTHS[1], 6, _latin(many), align="R")
    pdf.cell(WIDTHS[2], 6, much, align="R", new_x=XPos.LMARGIN, new_y=YPos.NEXT)
    pdf.set_font(style="")


def _text(pdf: FPDF, text: str, height: int = 5) -> None:
    pdf.multi_cell(0, height, _latin(text), new_x=XPos.LMARGIN, new_y=YPos.NEXT)


def _date(at: datetime) -> str:
    return format_date(at, "long", locale=LOCALE)


def _latin(text: str) -> str:
    """The text in the letters that the font has; others without their marks, or as a question mark."""
    return "".join(map(_letter, text))


def _letter(letter: str) -> str:
    for known in (letter, unicodedata.normalize("NFKD", letter)[:1]):
        if known.encode("latin-1", "ignore"):
            return known
    return "?"
