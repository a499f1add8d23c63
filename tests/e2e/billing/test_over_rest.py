"""Billing as anybody outside sees it: through the gateway of a running stack."""

from __future__ import annotations

from tests.e2e.people import Person


async def test_anybody_reads_the_plans(somebody: Person) -> None:
    """The plans and their prices are read without a token."""
    plans = (await somebody.rest.get("/v1/plans")).json()["plans"]
    prices = {plan["planId"]: (plan["unitAmountMinor"], plan["currency"], plan["unit"]) for plan in plans}
    assert prices["team-yearly"] == ("9000", "EUR", "seat")
