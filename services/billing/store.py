"""Billing in PostgreSQL: each method is one statement of queries.sql, or few in a transaction."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import date, datetime
from pathlib import Path
from typing import Any, TypeVar

from infra.events.outbox import row
from infra.postgres import Connection, Database, announce, queries
from mesh.model import Caller, Event, OrganisationId
from services.billing.domain.drift import Drift, Reconciled
from services.billing.domain.entities import (
    Charge,
    CreditNote,
    Customer,
    Entity,
    Invoice,
    InvoiceState,
    Line,
    PaymentState,
    Question,
    Refund,
    Subscription,
    SubscriptionState,
    Use,
)
from services.billing.domain.ledger import Account, Balance, Entry, SourceReused, Transfer
from services.billing.domain.money import Money
from services.billing.domain.plans import Interval, Plan
from services.billing.domain.ports import ProviderEntry

sql = queries(Path(__file__).with_name("queries.sql"))
T = TypeVar("T")
Row = Mapping[str, Any]


class PostgresStore:
    """A `services.billing.domain.storage.Store`."""

    def __init__(self, database: Database) -> None:
        self.database = database

    async def run(self, work: Callable[[], Awaitable[T]]) -> T:
        return await self.database.run(work)

    async def lock(self, organisation_id: OrganisationId) -> Customer:
        async with self.database.connection() as connection:
            found = await sql.lock_customer(connection, organisation_id=organisation_id)
            if found is None:
                await sql.add_customer(connection, organisation_id=organisation_id)
                found = await sql.lock_customer(connection, organisation_id=organisation_id)
        return Customer(**found)

    async def customer(self, organisation_id: OrganisationId) -> Customer:
        found = await self._one(sql.get_customer, lambda row: Customer(**row), organisation_id=organisation_id)
        assert found is not None, organisation_id
        return found

    async def put_customer(self, customer: Customer) -> None:
        async with self.database.connection() as connection:
            await sql.put_customer(connection, **asdict(customer))

    async def announce(self, event: Event, place: int) -> None:
        async with self.database.connection() as connection:
            await sql.announce(connection, event=row(event), place=place)

    async def remind(self, event: Event, at: datetime) -> None:
        async with self.database.connection() as connection:
            await sql.announce(connection, event=row(event, publish_at=at), place=1)

    async def plans(self) -> Sequence[Plan]:
        return await self._all(sql.get_plans, _plan)

    async def plan(self, plan_id: str) -> Plan | None:
        return await self._one(sql.get_plan, _plan, plan_id=plan_id)

    async def entity(self, entity_id: str) -> Entity:
        found = await self._one(sql.get_entity, lambda found: Entity(**found), entity_id=entity_id)
        assert found is not None, entity_id
        return found

    async def next_number(self, entity_id: str, kind: str) -> int:
        async with self.database.connection() as connection:
            return int(await sql.next_number(connection, entity_id=entity_id, kind=kind))

    async def post(self, transfer: Transfer) -> bool:
        async with self.database.transaction() as connection:
            put = await sql.put_transfer(
                connection,
                source=transfer.source,
                organisation_id=transfer.organisation_id,
                create_time=transfer.create_time,
                accounts=[entry.account for entry in transfer.entries],
                amounts=[entry.amount for entry in transfer.entries],
                currencies=[entry.currency for entry in transfer.entries],
            )
            if put is None and not await _posted(connection, transfer):
                raise SourceReused(transfer.source)
        return put is not None

    async def balance(self, organisation_id: OrganisationId, account: Account, currency: str) -> int:
        named = {"organisation_id": organisation_id, "account": account, "currency": currency}
        async with self.database.connection() as connection:
            return int(await sql.get_balance(connection, **named))

    async def balances(self) -> Sequence[Balance]:
        return await self._all(
            sql.get_balances, lambda found: Balance(Account(found["account"]), found["currency"], found["amount"])
        )

    async def subscription(self, subscription_id: str) -> Subscription | None:
        return await self._one(sql.get_subscription, _subscription, subscription_id=subscription_id)

    async def live_subscription(self, organisation_id: OrganisationId, product: str) -> Subscription | None:
        return await self._one(
            sql.get_live_subscription, _subscription, organisation_id=organisation_id, product=product
        )

    async def has_live_subscription(self, organisation_id: OrganisationId) -> bool:
        async with self.database.connection() as connection:
            return bool(await sql.has_live_subscription(connection, organisation_id=organisation_id))

    async def has_trialed(self, organisation_id: OrganisationId, product: str) -> bool:
        async with self.database.connection() as connection:
            return bool(await sql.has_trialed(connection, organisation_id=organisation_id, product=product))

    async def subscriptions(self, organisation_id: OrganisationId, after: str, limit: int) -> Sequence[Subscription]:
        page = {"organisation_id": organisation_id, "after": after, "limit": limit}
        return await self._all(sql.page_of_subscriptions, _subscription, **page)

    async def put_subscription(self, subscription: Subscription) -> None:
        async with self.database.connection() as connection:
            await sql.put_subscription(connection, **asdict(subscription))

    async def use(self, use: Use, most: int) -> Use | None:
        async with self.database.connection() as connection:
            if await sql.put_use(connection, **asdict(use), most=most):
                return use
        named = {"organisation_id": use.organisation_id, "usage_id": use.usage_id}
        return await self._one(sql.get_use, lambda found: Use(**found), **named)

    async def bill_usage(self, subscription_id: str, invoice_id: str) -> int:
        async with self.database.transaction() as connection:
            # By a statement before, so that the next one sees what was recorded while this one waited.
            await sql.lock_subscription(connection, subscription_id=subscription_id)
            return int(await sql.bill_usage(connection, subscription_id=subscription_id, invoice_id=invoice_id))

    async def invoice(self, invoice_id: str) -> Invoice | None:
        return await self._one(sql.get_invoice, _invoice, invoice_id=invoice_id)

    async def draft(self, subscription_id: str) -> Invoice | None:
        return await self._one(sql.get_draft, _invoice, subscription_id=subscription_id)

    async def open_invoices(self, subscription_id: str) -> Sequence[Invoice]:
        return await self._all(sql.get_open_invoices, _invoice, subscription_id=subscription_id)

    async def invoices(self, organisation_id: OrganisationId, after: str, limit: int) -> Sequence[Invoice]:
        page = {"organisation_id": organisation_id, "after": after, "limit": limit}
        return await self._all(sql.page_of_invoices, _invoice, **page)

    async def put_invoice(self, invoice: Invoice) -> None:
        values = asdict(invoice)
        values.pop("lines")
        async with self.database.transaction() as connection:
            await sql.put_invoice(connection, **values)
            await sql.put_lines(
                connection,
                invoice_id=invoice.invoice_id,
                organisation_id=invoice.organisation_id,
                descriptions=[line.description for line in invoice.lines],
                quantities=[line.quantity for line in invoice.lines],
                amounts=[line.amount for line in invoice.lines],
            )

    async def put_credit_note(self, note: CreditNote) -> None:
        async with self.database.connection() as connection:
            await sql.put_credit_note(connection, **asdict(note))

    async def credit_notes(self, invoice_id: str) -> Sequence[CreditNote]:
        return await self._all(sql.get_credit_notes, lambda found: CreditNote(**found), invoice_id=invoice_id)

    async def charge(self, charge_id: str) -> Charge | None:
        return await self._one(sql.get_charge, _charge, charge_id=charge_id)

    async def charges(self, invoice_id: str) -> Sequence[Charge]:
        return await self._all(sql.get_charges, _charge, invoice_id=invoice_id)

    async def put_charge(self, charge: Charge) -> None:
        async with self.database.connection() as connection:
            await sql.put_charge(connection, **asdict(charge))

    async def refund(self, refund_id: str) -> Refund | None:
        return await self._one(sql.get_refund, _refund, refund_id=refund_id)

    async def refunds(self, charge_id: str) -> Sequence[Refund]:
        return await self._all(sql.get_refunds, _refund, charge_id=charge_id)

    async def put_refund(self, refund: Refund) -> None:
        async with self.database.connection() as connection:
            await sql.put_refund(connection, **asdict(refund))

    async def ask(self, caller: Caller, object_id: str, at: datetime) -> None:
        cause = {"request_id": caller.request_id, "traceparent": caller.traceparent}
        async with self.database.connection() as connection:
            await sql.ask(connection, object_id=object_id, at=at, **cause)
            announce()  # wakes whoever asks, after the commit

    async def claim_question(self, now: datetime, until: datetime) -> Question | None:
        return await self._one(sql.claim_question, lambda found: Question(**found), now=now, until=until)

    async def answered(self, object_id: str, until: datetime, again: datetime | None) -> None:
        async with self.database.connection() as connection:
            await sql.answered(connection, object_id=object_id, until=until, again=again)

    async def take_notice(self, caller: Caller, notice_id: str, kind: str, object_id: str, now: datetime) -> bool:
        named = {"notice_id": notice_id, "kind": kind, "receive_time": now, "object_id": object_id}
        cause = {"request_id": caller.request_id, "traceparent": caller.traceparent}
        async with self.database.connection() as connection:
            taken = bool(await sql.take_notice(connection, **named, **cause))
            announce()
        return taken

    async def moved(self, since: datetime) -> Sequence[ProviderEntry]:
        return await self._all(sql.get_moved, _entry, since=since)

    async def last_reconciled(self) -> date | None:
        async with self.database.connection() as connection:
            found: date | None = await sql.last_reconciled(connection)
        return found

    async def keep_reconciled(self, done: Reconciled) -> None:
        values = {
            **asdict(done),
            "drifts": [_told(drift) for drift in done.drifts],
            "beside": [f"{one.kind} x {one.count}: {one.money.amount} {one.money.currency}" for one in done.beside],
        }
        async with self.database.connection() as connection:
            await sql.keep_reconciled(connection, **values)

    async def _one(self, query: Any, made: Callable[[Row], T], **named: object) -> T | None:
        async with self.database.connection() as connection:
            found = await query(connection, **named)
        return made(found) if found else None

    async def _all(self, query: Any, made: Callable[[Row], T], **named: object) -> list[T]:
        async with self.database.connection() as connection:
            return [made(found) async for found in query(connection, **named)]


async def _posted(connection: Connection, transfer: Transfer) -> bool:
    found = [one async for one in sql.get_entries(connection, source=transfer.source)]
    entries = tuple(Entry(Account(one["account"]), one["amount"], one["currency"]) for one in found)
    return {one["organisation_id"] for one in found} == {transfer.organisation_id} and entries == transfer.entries


def _entry(found: Row) -> ProviderEntry:
    return ProviderEntry(found["provider_id"], Money(found["amount"], found["currency"]), found["create_time"])


def _told(drift: Drift) -> str:
    """A drift in one line, for people."""
    here, there = (" ".join(f"{one.amount} {one.currency}" for one in side) for side in (drift.here, drift.there))
    return f"{drift.kind} {drift.provider_id}: here {here or 'nothing'}, there {there or 'nothing'}"


def _plan(found: Row) -> Plan:
    return Plan(**{**found, "interval": Interval(found["interval"])})


def _subscription(found: Row) -> Subscription:
    return Subscription(**{**found, "state": SubscriptionState(found["state"])})


def _invoice(found: Row) -> Invoice:
    values = {**found, "state": InvoiceState(found["state"])}
    parts = [values.pop(name) for name in ("descriptions", "quantities", "amounts")]
    return Invoice(**values, lines=tuple(Line(*line) for line in zip(*parts, strict=True)))


def _charge(found: Row) -> Charge:
    return Charge(**{**found, "state": PaymentState(found["state"])})


def _refund(found: Row) -> Refund:
    return Refund(**{**found, "state": PaymentState(found["state"])})
