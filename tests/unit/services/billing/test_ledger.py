"""The ledger's laws, whatever is posted."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.model import OrganisationId
from services.billing.domain.ledger import (
    LARGEST_AMOUNT,
    Account,
    Balance,
    Entry,
    SourceReused,
    Transfer,
    Unbalanced,
    balances,
    moved,
)
from tests.fakes.billing import FakeStore

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
ADAS = OrganisationId("organisation_ada")

amounts = st.integers(-LARGEST_AMOUNT, LARGEST_AMOUNT)
entries = st.lists(
    st.builds(Entry, st.sampled_from(Account), amounts.filter(bool), st.sampled_from(["EUR", "USD"])), max_size=5
).map(tuple)


def transfer(source: str, given_entries: tuple[Entry, ...]) -> Transfer | None:
    """The transfer, if there can be one."""
    try:
        return Transfer(source=source, organisation_id=ADAS, entries=given_entries, create_time=NOON)
    except ValueError:
        return None


def closed(drawn: tuple[Entry, ...]) -> tuple[Entry, ...]:
    """The entries and what makes them balance."""
    return (*drawn, *(Entry(Account.CLEARING, -amount, currency) for currency, amount in balances(drawn).items()))


@given(entries)
def test_a_transfer_balances(drawn: tuple[Entry, ...]) -> None:
    """There is a transfer exactly if it moves something and its entries sum to zero in each currency."""
    assert (transfer("x", drawn) is not None) == (bool(drawn) and not any(balances(drawn).values()))


@given(st.lists(st.tuples(st.sampled_from("abcdef"), entries), max_size=20))
async def test_any_sequence_of_postings_balances(postings: list[tuple[str, tuple[Entry, ...]]]) -> None:
    """Whatever is posted, repeated or refused, all accounts together hold nothing in any currency."""
    store = FakeStore()
    for source, drawn in postings:
        if (one := transfer(source, closed(drawn))) is not None:
            try:
                await store.post(one)
            except SourceReused:
                continue
    sums: dict[str, int] = {}
    for balance in await store.balances():
        sums[balance.currency] = sums.get(balance.currency, 0) + balance.amount
    assert not any(sums.values())


@given(st.integers(1, LARGEST_AMOUNT), st.permutations(["a", "b", "a", "b", "a"]))
async def test_repeats_in_any_order_count_once(amount: int, sources: list[str]) -> None:
    """However often and in whatever order sources are posted, each counts once."""
    store = FakeStore()
    for source in sources:
        one = moved(source, ADAS, "EUR", NOON, receivable=amount, revenue=-amount)
        assert one
        await store.post(one)
    assert await store.balances() == [
        Balance(Account.RECEIVABLE, "EUR", 2 * amount),
        Balance(Account.REVENUE, "EUR", -2 * amount),
    ]


@pytest.mark.parametrize("amount", [0, LARGEST_AMOUNT + 1, -LARGEST_AMOUNT - 1])
def test_amounts_have_bounds(amount: int) -> None:
    """An entry moves something, and no more than the largest amount."""
    with pytest.raises(ValueError, match="moves something"):
        Transfer(
            source="x",
            organisation_id=ADAS,
            entries=(Entry(Account.TAX, amount, "EUR"), Entry(Account.CREDIT, -amount, "EUR")),
            create_time=NOON,
        )


def test_nothing_is_no_transfer() -> None:
    """What moves nothing is not posted; what does not balance is a mistake."""
    assert moved("x", ADAS, "EUR", NOON, receivable=0, revenue=0) is None
    with pytest.raises(Unbalanced):
        moved("x", ADAS, "EUR", NOON, receivable=5, revenue=-4)
