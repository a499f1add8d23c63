"""What every store promises of subscriptions, invoices and payments; run against PostgreSQL and against the fake."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from mesh.model import Caller, OrganisationId, UserId
from services.billing.domain import posting
from services.billing.domain.drift import Beside, Drift, DriftKind, Reconciled
from services.billing.domain.entities import (
    Charge,
    CreditNote,
    Customer,
    Invoice,
    InvoiceState,
    Line,
    PaymentState,
    Refund,
    Subscription,
    SubscriptionState,
    Use,
)
from services.billing.domain.money import Money
from services.billing.domain.ports import ProviderEntry
from tests.contract.billing.stores import Kept
from tests.fakes.billing import ENTITY

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
LATER = NOON + timedelta(days=31)
CAUSE = Caller("gateway", request_id="request_1", traceparent="00-1-2-01")
ADAS, BOBS = OrganisationId("organisation_ada"), OrganisationId("organisation_bob")


def subscription(name: str = "1", organisation_id: OrganisationId = ADAS, product: str = "workspace") -> Subscription:
    return Subscription(
        subscription_id=f"subscription_{name}",
        organisation_id=organisation_id,
        user_id=UserId("user_ada"),
        plan_id="team-monthly",
        product=product,
        quantity=3,
        state=SubscriptionState.ACTIVE,
        anchor=NOON,
        period=0,
        period_start=NOON,
        period_end=LATER,
        trialed=False,
        cancel_at_period_end=False,
        create_time=NOON,
        version=1,
    )


def invoice(name: str = "1", of: str = "1", organisation_id: OrganisationId = ADAS) -> Invoice:
    return Invoice(
        invoice_id=f"invoice_{name}",
        organisation_id=organisation_id,
        user_id=UserId("user_ada"),
        subscription_id=f"subscription_{of}",
        entity_id="main",
        state=InvoiceState.DRAFT,
        currency="EUR",
        period_start=NOON,
        period_end=LATER,
        create_time=NOON,
        lines=(Line("Team: not used", 2, -100),),
        subtotal=-100,
        version=1,
    )


def issued(name: str = "1") -> Invoice:
    lines = (*invoice().lines, Line("Team", 3, 2700))
    return replace(
        invoice(name), state=InvoiceState.OPEN, number=f"EX-{name}", lines=lines, subtotal=2600, tax=494, version=2
    )


def charge(name: str = "1", of: str = "1") -> Charge:
    return Charge(
        charge_id=f"charge_{name}",
        organisation_id=ADAS,
        invoice_id=f"invoice_{of}",
        method="pm_1",
        amount=3094,
        currency="EUR",
        state=PaymentState.CREATED,
        create_time=NOON,
    )


async def begin(kept: Kept, *made: Subscription) -> None:
    for one in made:
        await kept.store.lock(one.organisation_id)
        await kept.store.put_subscription(one)


async def test_a_customer_is_there_when_locked(kept: Kept) -> None:
    """An organisation becomes a customer when it is first locked, and keeps what it is charged with."""
    assert await kept.store.lock(ADAS) == Customer(organisation_id=ADAS)
    paying = Customer(organisation_id=ADAS, provider_id="cus_1", method="pm_1", name="Ada", address="A\nB", tax_id="1")
    await kept.store.put_customer(paying)
    assert await kept.store.lock(ADAS) == await kept.store.customer(ADAS) == paying


async def test_plans_and_sellers_are_found(kept: Kept) -> None:
    """A plan is found by its id, and who sells by theirs."""
    assert (plan := await kept.store.plan("team-yearly"))
    assert plan.unit_amount == 9000
    assert await kept.store.plan("nope") is None
    assert await kept.store.entity("main") == ENTITY


async def test_numbers_have_no_gaps(kept: Kept) -> None:
    """Numbers follow each other, each kind by itself; what is undone takes none."""

    async def undone() -> None:
        await kept.store.next_number("main", "invoice")
        raise RuntimeError

    assert await kept.store.next_number("main", "invoice") == 1
    with pytest.raises(RuntimeError):
        await kept.store.run(undone)
    assert await kept.store.next_number("main", "invoice") == 2
    assert await kept.store.next_number("main", "credit_note") == 1


async def test_a_transaction_is_all_or_nothing(kept: Kept) -> None:
    """What fails at its end has done nothing."""

    async def undone() -> None:
        await begin(kept, subscription())
        await kept.store.put_invoice(invoice())
        raise RuntimeError

    with pytest.raises(RuntimeError):
        await kept.store.run(undone)
    assert await kept.store.subscription("subscription_1") is None
    assert await kept.store.invoice("invoice_1") is None


async def test_subscriptions_are_kept(kept: Kept) -> None:
    """Every field of a subscription that can change is kept."""
    await begin(kept, subscription())
    assert await kept.store.subscription("subscription_1") == subscription()
    changed = replace(
        subscription(),
        plan_id="team-yearly",
        quantity=5,
        state=SubscriptionState.ENDED,
        anchor=LATER,
        period=4,
        period_start=LATER,
        period_end=LATER + timedelta(days=365),
        cancel_at_period_end=True,
        end_time=LATER,
        version=2,
    )
    await kept.store.put_subscription(changed)
    assert await kept.store.subscription("subscription_1") == changed
    assert await kept.store.subscription("subscription_2") is None


async def test_the_live_one_is_found(kept: Kept) -> None:
    """What has ended is not live, nor is another organisation's or product's."""
    ended = replace(subscription("0"), state=SubscriptionState.ENDED, trialed=True)
    await begin(kept, ended, subscription("2", BOBS), subscription("3", product="api"))
    assert await kept.store.live_subscription(ADAS, "workspace") is None
    await begin(kept, subscription())
    assert await kept.store.live_subscription(ADAS, "workspace") == subscription()
    trialed = [await kept.store.has_trialed(*of) for of in ((ADAS, "workspace"), (ADAS, "api"), (BOBS, "workspace"))]
    assert trialed == [True, False, False]


async def test_pages_go_on_after_an_id(kept: Kept) -> None:
    """Pages hold an organisation's own by id, as many as asked for."""
    products = dict(zip("123", ("workspace", "api", "third"), strict=True))
    await begin(kept, *(subscription(name, product=product) for name, product in products.items()))
    await begin(kept, subscription("4", BOBS))
    for name in "123":
        await kept.store.put_invoice(invoice(name, of=name))
    subscriptions = await kept.store.subscriptions(ADAS, "subscription_1", 1)
    assert [one.subscription_id for one in subscriptions] == ["subscription_2"]
    assert [one.invoice_id for one in await kept.store.invoices(ADAS, "invoice_1", 9)] == ["invoice_2", "invoice_3"]
    assert await kept.store.invoices(BOBS, "", 9) == []


async def test_invoices_grow_and_are_kept(kept: Kept) -> None:
    """A draft is found by its subscription; lines are added behind those that are there, in their order."""
    await begin(kept, subscription())
    await kept.store.put_invoice(invoice())
    assert await kept.store.draft("subscription_1") == invoice()
    await kept.store.put_invoice(issued())
    assert await kept.store.invoice("invoice_1") == issued()
    assert await kept.store.draft("subscription_1") is None
    assert list(await kept.store.open_invoices("subscription_1")) == [issued()]
    paid = replace(
        issued(),
        state=InvoiceState.PAID,
        buyer="Ada",
        tax_basis_points=1900,
        credited=94,
        paid=3000,
        attempts=2,
        next_attempt_time=LATER,
        finalise_time=NOON,
        period_start=LATER,
        period_end=LATER + timedelta(days=30),
        version=3,
    )
    await kept.store.put_invoice(paid)
    assert await kept.store.invoice("invoice_1") == paid
    assert list(await kept.store.open_invoices("subscription_1")) == []


async def test_credit_notes_are_kept(kept: Kept) -> None:
    """An invoice's credit notes are read as they were kept."""
    await begin(kept, subscription())
    await kept.store.put_invoice(issued())
    note = CreditNote(
        credit_note_id="credit_note_1",
        organisation_id=ADAS,
        invoice_id="invoice_1",
        number="EX-C-1",
        amount=119,
        tax=19,
        currency="EUR",
        reason="late",
        create_time=NOON,
    )
    await kept.store.put_credit_note(note)
    assert list(await kept.store.credit_notes("invoice_1")) == [note]
    assert list(await kept.store.credit_notes("invoice_2")) == []


async def test_charges_and_refunds_are_kept(kept: Kept) -> None:
    """Charges are found by their invoice, refunds by their charge, as they are now."""
    await begin(kept, subscription())
    await kept.store.put_invoice(issued())
    await kept.store.put_charge(charge())
    assert await kept.store.charge("charge_1") == charge()
    failed = replace(charge(), state=PaymentState.FAILED, provider_id="pi_1", failure="declined")
    await kept.store.put_charge(failed)
    await kept.store.put_charge(charge("2"))
    assert list(await kept.store.charges("invoice_1")) == [failed, charge("2")]
    refund = Refund(
        refund_id="refund_1",
        organisation_id=ADAS,
        charge_id="charge_1",
        amount=5,
        currency="EUR",
        state=PaymentState.CREATED,
        create_time=NOON,
    )
    await kept.store.put_refund(refund)
    done = replace(refund, state=PaymentState.SUCCEEDED, provider_id="re_1")
    await kept.store.put_refund(done)
    assert (await kept.store.refund("refund_1"), list(await kept.store.refunds("charge_1"))) == (done, [done])
    assert (await kept.store.refund("refund_2"), await kept.store.charge("charge_3")) == (None, None)


async def test_live_subscriptions_are_found(kept: Kept) -> None:
    """Whether an organisation has something that has not ended is known, however many have."""
    ended = [replace(subscription(str(one)), state=SubscriptionState.ENDED) for one in range(3)]
    await begin(kept, *ended, subscription("9", BOBS))
    assert not await kept.store.has_live_subscription(ADAS)
    await begin(kept, subscription("8", product="api"))
    assert await kept.store.has_live_subscription(ADAS)


async def test_uses_count_once(kept: Kept) -> None:
    """A use is kept once under its id and billed once; when its subscription has ended only what is known is found."""
    await begin(kept, subscription())
    use = Use(organisation_id=ADAS, subscription_id="subscription_1", usage_id="one", quantity=5, create_time=NOON)
    assert await kept.store.use(use, 100) == use
    assert await kept.store.use(replace(use, quantity=6), 100) == use
    assert await kept.store.use(replace(use, usage_id="two", quantity=7), 100) is not None
    assert await kept.store.bill_usage("subscription_1", "invoice_1") == 12
    assert await kept.store.bill_usage("subscription_1", "invoice_2") == 0
    await kept.store.put_subscription(replace(subscription(), state=SubscriptionState.ENDED))
    assert await kept.store.use(use, 100) == use
    assert await kept.store.use(replace(use, usage_id="three"), 100) is None


async def test_uses_have_a_bound(kept: Kept) -> None:
    """No more is kept than may wait for an invoice, also when many come at once; a known use is found all the same."""
    await begin(kept, subscription(), subscription("2", product="api"))
    use = Use(organisation_id=ADAS, subscription_id="subscription_1", usage_id="0", quantity=5, create_time=NOON)
    several = [replace(use, usage_id=str(name)) for name in range(8)]
    done = await asyncio.gather(*(kept.store.use(one, 20) for one in [*several, *several]))
    there = {one.usage_id for one in done if one}
    assert len(there) == 4
    assert await kept.store.use(replace(use, usage_id="else", quantity=1), 20) is None
    assert await kept.store.use(replace(use, usage_id=there.pop()), 20) is not None
    assert await kept.store.use(replace(use, usage_id="other", subscription_id="subscription_2"), 20) is not None
    assert await kept.store.bill_usage("subscription_1", "invoice_1") == 20
    assert await kept.store.use(replace(use, usage_id="else", quantity=20), 20) is not None


async def claimed(kept: Kept, now: datetime, until: datetime) -> str | None:
    """What the provider is to be asked about now; whoever asked is known."""
    found = await kept.store.claim_question(now, until)
    assert not found or (found.request_id, found.traceparent) == (CAUSE.request_id, CAUSE.traceparent)
    return found.object_id if found else None


async def test_notices_are_taken_once(kept: Kept) -> None:
    """What the provider tells is kept once with the question that comes of it; again, nothing comes of it."""
    assert await kept.store.take_notice(CAUSE, "evt_1", "paid", "charge_1", NOON)
    assert await claimed(kept, NOON, LATER) == "charge_1"
    assert not await kept.store.take_notice(CAUSE, "evt_1", "paid", "charge_1", NOON)
    assert await claimed(kept, NOON, LATER) is None
    assert await kept.store.take_notice(CAUSE, "evt_2", "else", "", NOON)
    assert await claimed(kept, NOON, LATER) is None
    assert await kept.store.take_notice(CAUSE, "evt_3", "paid", "charge_1", NOON)
    assert await claimed(kept, NOON, LATER) == "charge_1"


async def test_questions_are_claimed_by_one_at_a_time(kept: Kept) -> None:
    """The one that waits longest first, none before its time; who does not come back leaves it to the next."""
    second = timedelta(seconds=1)
    for name, at in (("charge_1", NOON), ("refund_1", NOON - second), ("charge_2", NOON + second)):
        await kept.store.ask(CAUSE, name, at)
    found = await asyncio.gather(*(claimed(kept, NOON, LATER) for _ in range(4)))
    assert sorted(one for one in found if one) == ["charge_1", "refund_1"]
    assert await claimed(kept, NOON + second, LATER) == "charge_2"
    assert await claimed(kept, LATER - second, LATER) is None
    again = [await claimed(kept, LATER, LATER + second) for _ in range(4)]
    assert sorted(one for one in again if one) == ["charge_1", "charge_2", "refund_1"]


async def test_what_is_answered_is_asked_again_or_no_more(kept: Kept) -> None:
    """As whoever claimed it says, unless somebody asked anew since, or they came too late."""
    for again in (LATER, None):
        await kept.store.ask(CAUSE, "charge_1", NOON)
        assert await claimed(kept, NOON, LATER) == "charge_1"
        await kept.store.ask(CAUSE, "charge_1", NOON)
        await kept.store.answered("charge_1", LATER, again)
        assert await claimed(kept, NOON, LATER) == "charge_1"
    await kept.store.answered("charge_1", LATER, NOON)
    assert await claimed(kept, NOON, LATER) == "charge_1"
    await kept.store.answered("charge_1", NOON, None)
    assert await claimed(kept, LATER, LATER) == "charge_1"
    await kept.store.answered("charge_1", LATER, None)
    assert await claimed(kept, LATER, LATER) is None


async def test_moved_money_is_known_by_the_providers_ids(kept: Kept) -> None:
    """What the books say of a charge and a refund since a time is told with the provider's ids."""
    await begin(kept, subscription())
    await kept.store.put_invoice(issued())
    paid = replace(charge(), state=PaymentState.SUCCEEDED, provider_id="pi_1")
    back = Refund(
        refund_id="refund_1",
        organisation_id=ADAS,
        charge_id="charge_1",
        amount=100,
        currency="EUR",
        state=PaymentState.SUCCEEDED,
        create_time=NOON,
        provider_id="re_1",
    )
    await kept.store.put_charge(paid)
    await kept.store.put_refund(back)
    posts = posting.captured(paid, paid.amount, NOON), posting.refund_done(back, LATER)
    for transfer in (*posts, posting.refund_returned(back, LATER)):
        assert transfer is not None
        await kept.store.post(transfer)
    first = ProviderEntry("pi_1", Money(3094, "EUR"), NOON)
    second = ProviderEntry("re_1", Money(-100, "EUR"), LATER)
    third = replace(second, money=Money(100, "EUR"))
    assert list(await kept.store.moved(NOON)) == [first, second, third]
    assert list(await kept.store.moved(LATER)) == [second, third]


async def test_day_is_reconciled_once(kept: Kept) -> None:
    """What came of a day is kept, and nothing takes its place; the last one is known."""
    assert await kept.store.last_reconciled() is None
    drift = Drift(DriftKind.DIFFERENT, "pi_1", (Money(900, "EUR"),), (Money(901, "EUR"),))
    done = Reconciled(NOON.date(), LATER, 7, (drift,), (Beside("payout", 2, Money(-900, "EUR")),))
    yesterday = NOON.date() - timedelta(days=1)
    for one in (done, replace(done, compared=8), replace(done, day=yesterday)):
        await kept.store.keep_reconciled(one)
    assert await kept.store.last_reconciled() == NOON.date()
    assert sorted(await kept.reconciliations()) == [(yesterday, 7), (NOON.date(), 7)]
