"""The services of billing through the whole pipeline and PostgreSQL."""

from __future__ import annotations

import pytest
from tulle.billing.v1 import accounting_pb2
from tulle.billing.v1 import billing_pb2 as pb

from infra.postgres import open_database
from mesh.model import Denied, new_id
from services.billing.main import Settings
from services.billing.store import sql
from tests.integration.billing.conftest import Calling

ADA = new_id("user", 1)
STATEMENTS = [name for name in sql.available_queries if not name.endswith("_cursor")]


async def test_anybody_reads_the_plans(stub: Calling) -> None:
    """The catalogue is for everybody, with prices and their currencies."""
    plans = {plan.plan_id: plan for plan in (await stub().ListPlans(pb.ListPlansRequest())).plans}
    team = plans["team-monthly"]
    assert (team.unit_amount_minor, team.currency, team.interval) == (900, "EUR", pb.INTERVAL_MONTH)
    assert (plans["api-calls"].metered, team.trial_days) == (True, 14)


async def test_the_books_are_for_administrators(stub: Calling) -> None:
    """Balances are read by administrators only."""
    empty = accounting_pb2.ListBalancesResponse()
    request = accounting_pb2.ListBalancesRequest()
    assert await stub(f"{ADA}/administrator", service="Accounting").ListBalances(request) == empty
    with pytest.raises(Denied):
        await stub(ADA, service="Accounting").ListBalances(request)


@pytest.mark.parametrize("name", STATEMENTS)
async def test_the_database_understands_it(settings: Settings, name: str) -> None:
    """PostgreSQL prepares the statement: its tables, columns and types exist."""
    async with open_database(settings) as database, database.connection() as connection:
        await connection.prepare(getattr(sql, name).sql)
