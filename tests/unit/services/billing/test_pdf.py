"""Invoices on paper: what stands on them, for people to read."""

from __future__ import annotations

import re
import zlib
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from mesh.model import OrganisationId, UserId
from services.billing.domain.entities import Invoice, InvoiceState, Line
from services.billing.pdf import invoice_pdf, money
from tests.fakes.billing import ENTITY

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
INVOICE = Invoice(
    invoice_id="invoice_1",
    organisation_id=OrganisationId("organisation_ada"),
    user_id=UserId("user_ada"),
    subscription_id="subscription_1",
    entity_id="main",
    state=InvoiceState.OPEN,
    currency="EUR",
    period_start=NOON,
    period_end=NOON.replace(month=6),
    create_time=NOON,
    number="EX-000042",
    buyer="Łukasz Müller\nPT501234567",
    lines=(Line("Team: not used", 2, -150_000), Line("Team", 1234, 1_110_600)),
    subtotal=960_600,
    tax_basis_points=1950,
    tax=187_317,
    credited=100_000,
    finalise_time=NOON,
)


def text(pdf: bytes) -> str:
    """What is written on it, each text in its own line."""
    pages = [zlib.decompress(part) for part in re.findall(rb"stream\n(.*?)\nendstream", pdf, re.DOTALL)]
    shown = re.findall(rb"\((.*?)\) Tj", b"\n".join(pages))
    return b"\n".join(shown).decode("latin-1").replace("\\", "")


def test_everything_stands_on_it() -> None:
    """Number, parties, dates, lines, tax and what is due, with the digits that people group."""
    shown = text(invoice_pdf(INVOICE, ENTITY))
    for part in (
        "Invoice EX-000042",
        "Example GmbH",
        "DE123456789",
        "?ukasz Müller",
        "May 1, 2026 to June 1, 2026",
        "1,234",
        "-1,500.00",
        "11,106.00",
        "VAT 19.5 %",
        "1,873.17",
        "11,479.17",
        "EUR 10,479.17",
    ):
        assert part in shown, (part, shown)


def test_the_same_paper_each_time() -> None:
    """An invoice that has not changed is the same file."""
    assert invoice_pdf(INVOICE, ENTITY) == invoice_pdf(INVOICE, ENTITY)


@pytest.mark.parametrize(
    ("state", "title"), [(InvoiceState.VOID, "Invoice, void"), (InvoiceState.UNCOLLECTIBLE, "Invoice, given up")]
)
def test_what_is_not_owed_says_so(state: InvoiceState, title: str) -> None:
    """An invoice that was voided or given up cannot be taken for one that is to be paid."""
    shown = text(invoice_pdf(replace(INVOICE, state=state), ENTITY))
    assert title in shown
    assert "EUR 0.00" in shown


@pytest.mark.parametrize(
    ("amount", "currency", "shown"),
    [
        (123456, "EUR", "EUR 1,234.56"),
        (-5, "USD", "-USD 0.05"),
        (123456, "JPY", "JPY 123,456"),
        (1234567, "KWD", "KWD 1,234.567"),
        (10**15 + 1, "EUR", "EUR 10,000,000,000,000.01"),
    ],
)
def test_amounts_have_the_digits_of_their_currency(amount: int, currency: str, shown: str) -> None:
    """Minor units become major ones exactly, with as many digits as the currency has."""
    assert money(amount, currency) == shown
