"""Billing as anybody outside sees it: through the gateway of a running stack."""

from __future__ import annotations

from tests.e2e.billing.stories import GOOD_CARD, INVOICES, SUBSCRIPTIONS, get, save, start
from tests.e2e.people import Person, eventually


async def test_anybody_reads_the_plans(somebody: Person) -> None:
    """The plans and their prices are read without a token."""
    plans = (await somebody.rest.get("/v1/plans")).json()["plans"]
    prices = {plan["planId"]: (plan["unitAmountMinor"], plan["currency"], plan["unit"]) for plan in plans}
    assert prices["team-yearly"] == ("9000", "EUR", "seat")


async def test_a_subscription_pays_itself(somebody: Person) -> None:
    """Who has saved a card and subscribes need do no more; the invoice is paid by events, and is there as a PDF."""
    await save(somebody, GOOD_CARD)
    started = await start(somebody, "team-monthly", quantity=2)

    async def active() -> bool:
        found = (await get(somebody, f"{SUBSCRIPTIONS}/{started['subscriptionId']}")).json()
        return bool(found["state"] == "SUBSCRIPTION_STATE_ACTIVE")

    await eventually(active)
    invoice = (await get(somebody, f"{INVOICES}/{started['openInvoiceId']}")).json()
    assert (invoice["state"], invoice["totalMinor"], invoice["dueMinor"]) == ("INVOICE_STATE_PAID", "2142", "0")
    paper = await get(somebody, f"{INVOICES}/{started['openInvoiceId']}/pdf")
    assert (paper.status_code, paper.headers["content-type"]) == (200, "application/pdf")
    assert paper.content.startswith(b"%PDF-")
