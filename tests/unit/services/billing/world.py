"""Billing in memory with a clock that tests move, and reminders that come when their time has come."""

from __future__ import annotations

import contextlib
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from mesh.model import Caller, Event, OrganisationId, SessionId, Unavailable, User, UserId
from services.billing.domain.billing import Billing
from services.billing.domain.charging import BILLING
from services.billing.domain.entities import Charge, Invoice, InvoiceState, Subscription
from services.billing.domain.events import InvoiceDue, SubscriptionDue
from services.billing.domain.ledger import Account
from services.billing.domain.ports import ProviderState
from services.billing.domain.subscriptions import Wanted
from tests.fakes.billing import FakeStore
from tests.fakes.payments import FakePayments

START = datetime(2026, 1, 31, 12, tzinfo=UTC)
ADAS = OrganisationId("organisation_ada")
ADA = Caller("gateway", User(UserId("user_ada"), ADAS, SessionId("session_1")))
BOB = Caller("gateway", User(UserId("user_bob"), OrganisationId("organisation_bob"), SessionId("session_2")))


@dataclass
class World:
    """Billing, and what it stands on."""

    store: FakeStore = field(default_factory=FakeStore)
    payments: FakePayments = field(default_factory=FakePayments)
    now: datetime = START

    def __post_init__(self) -> None:
        self.payments.now = lambda: self.now
        self.billing = Billing.of(self.store, self.payments, lambda: self.now)

    async def card(self, token: str = "ok", caller: Caller = ADA) -> None:
        """Have the organisation pay with this from now on."""
        await self.billing.methods.save(caller, token)

    async def start(
        self, plan_id: str = "team-monthly", caller: Caller = ADA, quantity: int = 1, **wanted: object
    ) -> str:
        """Subscribe; the id."""
        asked = Wanted(plan_id=plan_id, quantity=quantity, trial=bool(wanted.get("trial")))
        return (await self.billing.subscriptions.start(caller, asked)).subscription_id

    async def subscribed(self, plan_id: str = "team-monthly", quantity: int = 1) -> str:
        """Subscribe and pay."""
        await self.card()
        subscription_id = await self.start(plan_id, quantity=quantity)
        await self.pass_time()
        return subscription_id

    async def pass_time(self, **time: float) -> None:
        """Move the clock from reminder to reminder, and question to question, until so much time has passed."""
        until = self.now + timedelta(**time)
        while (next_ := min(self.times, default=until + timedelta(1))) <= until:
            self.now = max(self.now, next_)
            await self.ask()
            for place in [i for i, (at, _) in enumerate(self.store.reminders) if at <= self.now][:1]:
                await self.remind(self.store.reminders.pop(place)[1])
        self.now = until

    @property
    def times(self) -> list[datetime]:
        """When something happens by itself."""
        return [*(at for at, _ in self.store.reminders), *self.store.questions.values()]

    async def ask(self) -> None:
        """Ask the provider whatever is due."""
        while min(self.store.questions.values(), default=self.now + timedelta(1)) <= self.now:
            with contextlib.suppress(Unavailable):
                await self.billing.asking.ask_next()

    async def remind_early(self, kind: type[Event], **before: float) -> None:
        """Have the next reminder of that kind come so long before its time, by our clock."""
        at, event = min((one for one in self.store.reminders if isinstance(one[1], kind)), key=lambda one: one[0])
        await self.pass_time(seconds=(at - timedelta(**before) - self.now).total_seconds())
        self.store.reminders.remove((at, event))
        await self.remind(event)

    async def remind(self, event: object) -> None:
        """What the consumer of the event does."""
        match event:
            case SubscriptionDue(subscription_id=subscription_id):
                await self.billing.renewal.advance(BILLING, subscription_id)
            case InvoiceDue(invoice_id=invoice_id):
                await self.billing.dunning.due(BILLING, invoice_id)

    def subscription(self, subscription_id: str) -> Subscription:
        """As it is now."""
        found = self.store.kept[subscription_id]
        assert isinstance(found, Subscription)
        return found

    @property
    def invoices(self) -> list[Invoice]:
        """All that have a number, by it."""
        return sorted((one for one in self.store.of(Invoice) if one.number), key=lambda one: one.number)

    @property
    def charges(self) -> list[Charge]:
        """All, oldest first."""
        return sorted(self.store.of(Charge), key=lambda one: one.create_time)

    @property
    def announced(self) -> list[str]:
        """The names of all events so far."""
        return [type(event).__name__ for _, event in self.store.events]

    async def holds(self, account: Account, currency: str = "EUR") -> int:
        """What an account holds over all organisations."""
        found = await self.store.balances()
        return sum(one.amount for one in found if (one.account, one.currency) == (account, currency))

    async def check(self) -> None:
        """The books are true: they balance, agree with the provider and with the invoices, and numbers have no gaps."""
        for currency in ("EUR", "USD"):
            assert sum(one.amount for one in await self.store.balances() if one.currency == currency) == 0
            owed = [invoice.due for invoice in self.invoices if invoice.currency == currency]
            assert await self.holds(Account.RECEIVABLE, currency) == sum(owed)
            assert await self.holds(Account.CREDIT, currency) <= 0
        numbers = sorted(int(invoice.number.rpartition("-")[2]) for invoice in self.invoices)
        assert numbers == list(range(1, len(numbers) + 1))
        live = Counter((one.organisation_id, one.product) for one in self.store.of(Subscription) if one.live)
        assert all(count == 1 for count in live.values())
        assert all(one.due > 0 for one in self.invoices if one.state is InvoiceState.OPEN)
        # Also money that may yet come: nobody is ever in a position to pay one invoice twice.
        taken = (key for key, (_, made) in self.payments.charged.items() if made.state is not ProviderState.FAILED)
        assert all(count == 1 for count in Counter(self.store.kept[key].invoice_id for key in taken).values())
