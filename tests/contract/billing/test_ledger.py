"""What every store promises of the catalogue and the ledger; run against PostgreSQL and against the fake."""

from __future__ import annotations

from datetime import UTC, datetime

import asyncpg
import pytest

from mesh.model import OrganisationId
from services.billing.domain.ledger import Account, Balance, Entry, SourceReused, Transfer
from tests.contract.billing.stores import InPostgres, Kept
from tests.fakes.billing import PLANS

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
ADAS, BOBS = OrganisationId("organisation_ada"), OrganisationId("organisation_bob")


def sold(source: str, amount: int, organisation_id: OrganisationId = ADAS, currency: str = "EUR") -> Transfer:
    entries = (Entry(Account.RECEIVABLE, amount, currency), Entry(Account.REVENUE, -amount, currency))
    return Transfer(source=source, organisation_id=organisation_id, entries=entries, create_time=NOON)


async def test_the_catalogue_is_filled(kept: Kept) -> None:
    """A new database has the plans, by product and price."""
    assert list(await kept.store.plans()) == list(PLANS)


async def test_what_is_posted_counts(kept: Kept) -> None:
    """Each organisation has its own accounts in each currency, and all of them together balance."""
    for transfer in (sold("a", 500), sold("b", 70), sold("c", 9, BOBS), sold("d", 1000, currency="USD")):
        assert await kept.store.post(transfer)
    assert await kept.store.balance(ADAS, Account.RECEIVABLE, "EUR") == 570
    assert await kept.store.balance(BOBS, Account.REVENUE, "EUR") == -9
    assert await kept.store.balance(BOBS, Account.REVENUE, "USD") == 0
    assert sorted(await kept.store.balances(), key=str) == sorted(
        [
            Balance(Account.RECEIVABLE, "EUR", 579),
            Balance(Account.RECEIVABLE, "USD", 1000),
            Balance(Account.REVENUE, "EUR", -579),
            Balance(Account.REVENUE, "USD", -1000),
        ],
        key=str,
    )


async def test_a_source_is_posted_once(kept: Kept) -> None:
    """The same transfer posted again changes nothing; another one of the same source is refused."""
    assert await kept.store.post(sold("a", 500))
    assert not await kept.store.post(sold("a", 500))
    for other in (sold("a", 501), sold("a", 500, BOBS), sold("a", 500, currency="USD")):
        with pytest.raises(SourceReused):
            await kept.store.post(other)
    assert await kept.store.balance(ADAS, Account.RECEIVABLE, "EUR") == 500


@pytest.fixture
def written(kept: Kept) -> InPostgres:
    if not isinstance(kept, InPostgres):
        pytest.skip("a law of the database")
    return kept


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE entries SET amount = amount * 2",
        "DELETE FROM entries",
        "UPDATE transfers SET create_time = now()",
        "TRUNCATE transfers, entries",
    ],
)
async def test_the_database_forgets_nothing(written: InPostgres, statement: str) -> None:
    """Whoever writes SQL by hand cannot change or remove an entry."""
    await written.store.post(sold("a", 500))
    with pytest.raises(asyncpg.RestrictViolationError):
        async with written.database.connection() as connection:
            await connection.execute(statement)
    assert await written.store.balance(ADAS, Account.RECEIVABLE, "EUR") == 500


@pytest.mark.parametrize(
    "entries",
    [
        "",
        "('x', 1, 'organisation_ada', 'receivable', 5, 'EUR')",
        "('x', 1, 'organisation_ada', 'receivable', 5, 'EUR'), ('x', 2, 'organisation_ada', 'revenue', -4, 'EUR')",
        "('x', 1, 'organisation_ada', 'receivable', 5, 'EUR'), ('x', 2, 'organisation_ada', 'revenue', -5, 'USD')",
        "('a', 3, 'organisation_ada', 'receivable', 5, 'EUR')",
    ],
)
async def test_the_database_takes_no_transfer_that_does_not_balance(written: InPostgres, entries: str) -> None:
    """Entries that do not sum to zero in each currency are refused at the commit, also those added later."""
    await written.store.post(sold("a", 500))
    with pytest.raises(asyncpg.CheckViolationError):
        async with written.database.transaction() as connection:
            await connection.execute("INSERT INTO transfers VALUES ('x', 'organisation_ada', now())")
            if entries:
                await connection.execute(f"INSERT INTO entries VALUES {entries}")
    assert len(await written.store.balances()) == 2
