"""A year of a customer in PostgreSQL: reminders wait in the outbox, questions beside it, and the clock moves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tulle.billing.v1 import events_pb2

from infra.events.received import Received
from infra.postgres import Database, open_database
from mesh.model import Caller, OrganisationId, SessionId, Unavailable, User, UserId
from services.billing.domain.billing import Billing
from services.billing.domain.charging import BILLING
from services.billing.domain.entities import Invoice, InvoiceState, SubscriptionState
from services.billing.domain.ledger import Account
from services.billing.domain.ports import ProviderCharge, ProviderState
from services.billing.domain.subscriptions import Wanted
from services.billing.events import subscriptions
from services.billing.main import Settings
from services.billing.store import PostgresStore
from tests.fakes.payments import FakePayments

ADAS = OrganisationId("organisation_ada")
ADA = Caller("gateway", User(UserId("user_ada"), ADAS, SessionId("session_1")))
TOTAL = 1071


@dataclass
class Year:
    """Billing over PostgreSQL, at a time of its own."""

    database: Database
    payments: FakePayments = field(default_factory=FakePayments)
    now: datetime = datetime(2026, 1, 31, 12, tzinfo=UTC)

    def __post_init__(self) -> None:
        self.store = PostgresStore(self.database)
        self.billing = Billing.of(self.store, self.payments, lambda: self.now)

    async def card(self, token: str) -> None:
        await self.billing.methods.save(ADA, token)

    async def start(self, plan_id: str, trial: bool = False) -> str:
        wanted = Wanted(plan_id=plan_id, trial=trial)
        return (await self.billing.subscriptions.start(ADA, wanted)).subscription_id

    async def state(self, subscription_id: str) -> SubscriptionState:
        return (await self.billing.subscriptions.get(ADA, subscription_id)).state

    async def invoices(self) -> list[Invoice]:
        found = await self.store.invoices(ADAS, "", 100)
        return sorted((one for one in found if one.number), key=lambda one: one.number)

    async def holds(self, account: Account) -> int:
        return await self.store.balance(ADAS, account, "EUR")

    async def pass_time(self, **time: float) -> None:
        """Publish to billing what falls due, in its order and as the consumer does, each twice; ask the provider."""
        until = self.now + timedelta(**time)
        await self._ask()
        while (next_ := await self._when()) and next_ <= until:
            self.now = max(self.now, next_)
            await self._ask()
            if due := await self._next(self.now):
                for _ in range(2):
                    await self._consume(due)
                await self._ask()
        self.now = until

    async def _when(self) -> datetime | None:
        """When something happens by itself."""
        async with self.database.connection() as connection:
            found: datetime | None = await connection.fetchval(
                "SELECT least((SELECT min(publish_at) FROM outbox WHERE published_at IS NULL),"
                " (SELECT min(ask_time) FROM questions))"
            )
        return found

    async def _ask(self) -> None:
        """Ask the provider whatever is due now, as the service's worker does."""
        asking = True
        while asking:
            try:
                asking = await self.billing.asking.ask_next()
            except Unavailable:
                continue

    async def _next(self, until: datetime) -> Any:
        async with self.database.connection() as connection:
            return await connection.fetchrow(
                "UPDATE outbox SET published_at = now() WHERE event_id = (SELECT event_id FROM outbox"
                " WHERE publish_at <= $1 AND published_at IS NULL ORDER BY publish_at, event_id LIMIT 1)"
                " RETURNING type, payload, publish_at",
                until,
            )

    async def _consume(self, due: Any) -> None:
        message: Any = getattr(events_pb2, due["type"].rpartition(".")[2])
        event = _received(message.FromString(due["payload"]))
        handler = subscriptions(self.billing)[message]
        await self.database.run(lambda: handler(event))


def _received(payload: Any) -> Received:
    blank = dict.fromkeys(("event_id", "type", "source", "resource", "aggregate_id", "actor", "causation_id"), "")
    return Received(
        **blank,
        traceparent="",
        schema_version=1,
        aggregate_seq=1,
        organisation_id=ADAS,
        time=datetime.now(UTC),
        payload=payload,
        caller=BILLING,
    )


@pytest.fixture
async def year(settings: Settings) -> AsyncIterator[Year]:
    async with open_database(settings) as database:
        yield Year(database)


async def test_a_good_year(year: Year) -> None:
    """A trial, then twelve months paid once each though every reminder comes twice and answers get lost."""
    await year.card("ok")
    subscription_id = await year.start("team-monthly", trial=True)
    for _ in range(12):
        year.payments.cuts = 1
        await year.pass_time(days=30.4)
    invoices = await year.invoices()
    assert [one.number for one in invoices] == [f"EX-{place:06d}" for place in range(1, 13)]
    assert {one.state for one in invoices} == {InvoiceState.PAID}
    assert await year.state(subscription_id) is SubscriptionState.ACTIVE
    assert await year.holds(Account.CLEARING) == year.payments.holds("EUR") == 12 * TOTAL
    assert await year.holds(Account.RECEIVABLE) == 0


async def test_a_bad_year(year: Year) -> None:
    """A card that fails is dunned on the promised days; then the subscription ends and the debt is written off."""
    await year.card("ok")
    subscription_id = await year.start("team-monthly")
    await year.pass_time(days=1)
    await year.card("declined")
    await year.pass_time(days=27)
    assert await year.state(subscription_id) is SubscriptionState.PAST_DUE
    await year.pass_time(days=16, hours=1)
    assert await year.state(subscription_id) is SubscriptionState.ENDED
    last = (await year.invoices())[-1]
    assert (last.state, last.attempts) == (InvoiceState.UNCOLLECTIBLE, 4)
    days = [charge.create_time.day for charge in await year.store.charges(last.invoice_id)]
    assert days == [28, 1, 4, 9]
    assert (await year.holds(Account.BAD_DEBT), await year.holds(Account.RECEIVABLE)) == (TOTAL, 0)


async def test_a_changing_year(year: Year) -> None:
    """Seats, plans, refunds and a payment that comes too late leave books that agree with the provider."""
    await year.card("ok")
    subscription_id = await year.start("team-monthly")
    await year.pass_time(days=10)
    await year.billing.subscriptions.change(ADA, subscription_id, "", 5)
    await year.pass_time(days=10)
    await year.billing.subscriptions.change(ADA, subscription_id, "team-yearly", 2)
    await year.pass_time(days=1)
    first = (await year.invoices())[0]
    await year.billing.corrections.refund(ADA, first.invoice_id, 500, "late")
    await year.card("confirm")
    await year.billing.subscriptions.change(ADA, subscription_id, "", 9)
    await year.pass_time(days=2)
    late = (await year.store.charges((await year.invoices())[-1].invoice_id))[0]
    await year.card("ok")
    await year.pass_time(days=3)
    year.payments.decide(late.charge_id, ProviderState.SUCCEEDED)
    await year.billing.charges.settle(late.charge_id)
    await year.pass_time(days=1)
    assert {one.state for one in await year.invoices()} == {InvoiceState.PAID}
    assert await year.holds(Account.CLEARING) == year.payments.holds("EUR") > 0
    assert {await year.holds(account) for account in (Account.RECEIVABLE, Account.CREDIT, Account.REFUNDS)} == {0}


async def test_a_slow_provider_holds_no_connection(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """While all who ask wait for its answer, everybody else has the database."""
    async with open_database(settings.model_copy(update={"postgres_connections": 1})) as database:
        year, asked, answer = Year(database), asyncio.Semaphore(0), asyncio.Event()
        find = year.payments.find_charge

        async def slow(charge_id: str) -> ProviderCharge | None:
            asked.release()
            await answer.wait()
            return await find(charge_id)

        monkeypatch.setattr(year.payments, "find_charge", slow)
        await year.card("ok")
        await year.start("team-monthly")
        asking = asyncio.create_task(year.billing.asking.ask_next())
        await asked.acquire()
        assert [one.state for one in await year.invoices()] == [InvoiceState.OPEN]
        answer.set()
        assert await asking
        assert [one.state for one in await year.invoices()] == [InvoiceState.PAID]
