"""The services of billing through the whole pipeline, PostgreSQL and the stack's payment provider."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import pytest
from tulle.billing.v1 import accounting_pb2, billing_pb2, invoices_pb2

from infra.postgres import open_database
from mesh.model import AlreadyExists, Denied, Error, Invalid, Unauthenticated, new_id
from mesh.paging import BadPageToken
from services.billing.domain import errors
from services.billing.main import Settings
from services.billing.store import sql
from tests.integration.billing.conftest import Calling

ADA, BOB = new_id("user", 1), new_id("user", 2)
ADMINISTRATOR = f"{new_id('user', 3)}/administrator"
STATEMENTS = [name for name in sql.available_queries if not name.endswith("_cursor")]
TOTAL = 1071
"""Of one seat for one month, with tax."""


async def save_card(stub: Calling, who: str = ADA, token: str = "pm_card_visa") -> invoices_pb2.PaymentMethod:
    request = invoices_pb2.SavePaymentMethodRequest(token=token)
    saved: invoices_pb2.PaymentMethod = await stub(who, service="Invoices").SavePaymentMethod(request)
    return saved


async def start(stub: Calling, who: str = ADA, **wanted: Any) -> billing_pb2.Subscription:
    request = billing_pb2.StartSubscriptionRequest(**{"plan_id": "team-monthly", **wanted})
    started: billing_pb2.Subscription = await stub(who).StartSubscription(request)
    return started


async def pay(stub: Calling, invoice_id: str, who: str = ADA) -> invoices_pb2.PayInvoiceResponse:
    request = invoices_pb2.PayInvoiceRequest(invoice_id=invoice_id)
    paid: invoices_pb2.PayInvoiceResponse = await stub(who, service="Invoices").PayInvoice(request)
    return paid


async def holds(stub: Calling) -> dict[str, int]:
    request = accounting_pb2.ListBalancesRequest()
    found = await stub(ADMINISTRATOR, service="Accounting").ListBalances(request)
    return {balance.account: balance.amount_minor for balance in found.balances if balance.amount_minor}


async def test_anybody_reads_the_plans(stub: Calling) -> None:
    """The catalogue is for everybody, with prices and their currencies."""
    plans = {plan.plan_id: plan for plan in (await stub().ListPlans(billing_pb2.ListPlansRequest())).plans}
    team = plans["team-monthly"]
    assert (team.unit_amount_minor, team.currency, team.interval) == (900, "EUR", billing_pb2.INTERVAL_MONTH)
    assert (plans["api-calls"].metered, team.trial_days) == (True, 14)


async def test_a_subscription_is_paid(stub: Calling) -> None:
    """Who saves a card, subscribes and pays has a subscription, a paid invoice and its PDF; another has none of it."""
    assert (await save_card(stub)).last4 == "4242"
    started = await start(stub)
    assert started.state == billing_pb2.SUBSCRIPTION_STATE_INCOMPLETE
    paid = await pay(stub, started.open_invoice_id)
    assert (paid.charge.state, paid.charge.amount_minor) == (invoices_pb2.CHARGE_STATE_SUCCEEDED, TOTAL)
    assert (paid.invoice.state, paid.invoice.number) == (invoices_pb2.INVOICE_STATE_PAID, "EX-000001")
    named = billing_pb2.GetSubscriptionRequest(subscription_id=started.subscription_id)
    found = await stub(ADA).GetSubscription(named)
    assert (found.state, found.open_invoice_id) == (billing_pb2.SUBSCRIPTION_STATE_ACTIVE, "")
    invoices = stub(ADA, service="Invoices")
    assert list((await invoices.ListInvoices(invoices_pb2.ListInvoicesRequest())).invoices) == [paid.invoice]
    request = invoices_pb2.DownloadInvoiceRequest(invoice_id=paid.invoice.invoice_id)
    paper = await invoices.DownloadInvoice(request)
    assert (paper.content_type, paper.data[:5]) == ("application/pdf", b"%PDF-")
    assert await holds(stub) == {"clearing": TOTAL, "revenue": -900, "tax": -171}
    with pytest.raises(errors.SubscriptionNotFound):
        await stub(BOB).GetSubscription(named)
    for refused in (
        stub(BOB, service="Invoices").DownloadInvoice(request),
        stub(BOB, service="Invoices").GetInvoice(invoices_pb2.GetInvoiceRequest(invoice_id=paid.invoice.invoice_id)),
        pay(stub, paid.invoice.invoice_id, BOB),
    ):
        with pytest.raises(errors.InvoiceNotFound):
            await refused


async def test_a_repeated_start_has_one_effect(stub: Calling) -> None:
    """The same request sent twice under one request_id makes one subscription and has one answer."""
    await save_card(stub)
    request_id = str(uuid.uuid4())
    assert await start(stub, request_id=request_id) == await start(stub, request_id=request_id)


async def test_everybody_at_once(stub: Calling) -> None:
    """Of many who start at once each organisation gets one subscription, and invoices follow without gaps."""
    people = [new_id("user", 100 + place) for place in range(8)]
    await asyncio.gather(*(save_card(stub, who) for who in people))
    answers = await asyncio.gather(*(start(stub, who) for who in people for _ in range(2)), return_exceptions=True)
    started = [one for one in answers if not isinstance(one, BaseException)]
    assert all(isinstance(one, errors.AlreadySubscribed) for one in answers if isinstance(one, BaseException))
    assert len(started) == len(people)
    numbers = []
    for who in people:
        listed = await stub(who, service="Invoices").ListInvoices(invoices_pb2.ListInvoicesRequest())
        numbers += [invoice.number for invoice in listed.invoices]
    assert sorted(numbers) == [f"EX-{place:06d}" for place in range(1, len(people) + 1)]


async def test_who_clicks_often_pays_once(stub: Calling) -> None:
    """An invoice that is paid many times at once is charged once."""
    await save_card(stub)
    started = await start(stub)
    answers = await asyncio.gather(*(pay(stub, started.open_invoice_id) for _ in range(6)), return_exceptions=True)
    assert all(isinstance(one, Error) for one in answers if isinstance(one, BaseException))
    await pay(stub, started.open_invoice_id)
    assert (await holds(stub))["clearing"] == TOTAL


async def test_a_declined_card(stub: Calling) -> None:
    """A declined charge says why and leaves the invoice open; a good card pays it."""
    await save_card(stub, token="pm_card_chargeCustomerFail")
    started = await start(stub)
    failed = await pay(stub, started.open_invoice_id)
    assert (failed.charge.state, failed.charge.failure) == (invoices_pb2.CHARGE_STATE_FAILED, "card_declined")
    assert failed.invoice.due_minor == TOTAL
    await save_card(stub)
    assert (await pay(stub, started.open_invoice_id)).invoice.state == invoices_pb2.INVOICE_STATE_PAID


async def test_a_payer_is_told_what_to_confirm(stub: Calling) -> None:
    """A charge that must be confirmed is answered with its secret, again as long as it waits."""
    await save_card(stub, token="pm_card_authenticationRequired")
    started = await start(stub)
    first, second = [await pay(stub, started.open_invoice_id) for _ in range(2)]
    assert first.charge.state == invoices_pb2.CHARGE_STATE_ACTION_NEEDED
    assert first.charge == second.charge
    assert first.charge.client_secret


async def test_refunds_and_credit(stub: Calling) -> None:
    """An administrator gives back no more than was paid, under numbers of their own, and the customer reads why."""
    await save_card(stub)
    invoice_id = (await pay(stub, (await start(stub)).open_invoice_id)).invoice.invoice_id
    accounting = stub(ADMINISTRATOR, service="Accounting")

    def asked(amount: int) -> accounting_pb2.RefundInvoiceRequest:
        return accounting_pb2.RefundInvoiceRequest(invoice_id=invoice_id, amount_minor=amount, reason="A bad day")

    assert (await accounting.RefundInvoice(asked(71))).amount_minor == 71
    with pytest.raises(errors.RefundTooLarge) as raised:
        await accounting.RefundInvoice(asked(1001))
    assert raised.value.violations[0].field == "amount_minor"
    credit = accounting_pb2.CreditInvoiceRequest(invoice_id=invoice_id, amount_minor=1000, reason="All of it")
    await accounting.CreditInvoice(credit)
    with pytest.raises(errors.InvoiceNotOpen):
        await accounting.VoidInvoice(accounting_pb2.VoidInvoiceRequest(invoice_id=invoice_id))
    request = invoices_pb2.ListCreditNotesRequest(invoice_id=invoice_id)
    notes = (await stub(ADA, service="Invoices").ListCreditNotes(request)).credit_notes
    assert [(note.number, note.amount_minor, note.reason) for note in notes] == [
        ("EX-C-000001", 71, "A bad day"),
        ("EX-C-000002", 1000, "All of it"),
    ]
    assert await holds(stub) == {"clearing": TOTAL, "refunds": -71, "credit": -1000}


async def test_the_rest_of_a_subscriptions_life(stub: Calling) -> None:
    """Changing, cancelling, resuming and counting do over the wire what they do in the domain."""
    billing = stub(ADA)
    named: dict[str, Any] = {"subscription_id": (await start(stub, plan_id="free")).subscription_id}
    assert (await billing.ChangeSubscription(billing_pb2.ChangeSubscriptionRequest(**named, quantity=4))).quantity == 4
    assert (await billing.CancelSubscription(billing_pb2.CancelSubscriptionRequest(**named))).cancel_at_period_end
    assert not (await billing.ResumeSubscription(billing_pb2.ResumeSubscriptionRequest(**named))).cancel_at_period_end
    ended = await billing.CancelSubscription(billing_pb2.CancelSubscriptionRequest(**named, at_once=True))
    assert ended.state == billing_pb2.SUBSCRIPTION_STATE_ENDED
    metered = await start(stub, plan_id="api-calls")
    use = {"subscription_id": metered.subscription_id, "usage_id": "call-1"}
    kept = [await billing.RecordUsage(billing_pb2.RecordUsageRequest(**use, quantity=5)) for _ in range(2)]
    assert kept[0] == kept[1]
    with pytest.raises(AlreadyExists):
        await billing.RecordUsage(billing_pb2.RecordUsageRequest(**use, quantity=6))
    page = await billing.ListSubscriptions(billing_pb2.ListSubscriptionsRequest(page_size=1))
    assert [one.subscription_id for one in page.subscriptions] == [ended.subscription_id]
    further = billing_pb2.ListSubscriptionsRequest(page_token=page.next_page_token)
    assert [one.plan_id for one in (await billing.ListSubscriptions(further)).subscriptions] == ["api-calls"]
    with pytest.raises(BadPageToken):
        await stub(BOB).ListSubscriptions(further)


async def test_who_buys(stub: Calling) -> None:
    """An invoice says who bought, as the details were when it was issued; what is not named stays."""
    invoices = stub(ADA, service="Invoices")

    async def update(**values: str) -> invoices_pb2.BillingDetails:
        details = invoices_pb2.BillingDetails(**values)
        request = invoices_pb2.UpdateBillingDetailsRequest(billing_details=details)
        changed: invoices_pb2.BillingDetails = await invoices.UpdateBillingDetails(request)
        return changed

    await update(name="Torres Lda.", address="Rua Nova 1\n1100 Lisboa", tax_id="PT501234567")
    await save_card(stub)
    paid = await pay(stub, (await start(stub)).open_invoice_id)
    changed = await update(name="Torres & Filhos")
    assert (changed.name, changed.tax_id) == ("Torres & Filhos", "PT501234567")
    assert await invoices.GetBillingDetails(invoices_pb2.GetBillingDetailsRequest()) == changed
    request = invoices_pb2.GetInvoiceRequest(invoice_id=paid.invoice.invoice_id)
    assert (await invoices.GetInvoice(request)).buyer == "Torres Lda.\nRua Nova 1\n1100 Lisboa\nPT501234567"
    with pytest.raises(Invalid):
        await update(address="\n" * 6)


async def test_payment_methods(stub: Calling) -> None:
    """Methods are listed with the one that is charged; it stays while something is live, others go."""
    old, new = await save_card(stub), await save_card(stub)
    invoices = stub(ADA, service="Invoices")
    listed = (await invoices.ListPaymentMethods(invoices_pb2.ListPaymentMethodsRequest())).payment_methods
    assert {one.payment_method_id: one.charged for one in listed} == {
        old.payment_method_id: False,
        new.payment_method_id: True,
    }
    await start(stub, plan_id="free")

    def removed(method: invoices_pb2.PaymentMethod, who: str = ADA) -> Any:
        request = invoices_pb2.RemovePaymentMethodRequest(payment_method_id=method.payment_method_id)
        return stub(who, service="Invoices").RemovePaymentMethod(request)

    with pytest.raises(errors.PaymentMethodInUse):
        await removed(new)
    with pytest.raises(errors.PaymentMethodNotFound):
        await removed(old, BOB)
    await removed(old)
    with pytest.raises(errors.PaymentMethodNotFound):
        await removed(old)
    with pytest.raises(errors.UnknownPaymentToken):
        await save_card(stub, token="pm_nobodys")


async def test_the_contract_holds(stub: Calling) -> None:
    """Without a token, as another workload or with bad input nothing begins; the books are for administrators."""
    good, bad = (billing_pb2.StartSubscriptionRequest(plan_id=plan_id) for plan_id in ("free", "No Such Plan"))
    for calling, request, refusal in (
        (stub(), good, Unauthenticated),
        (stub(ADA, workload="operator"), good, Denied),
        (stub(ADA), bad, Invalid),
    ):
        with pytest.raises(refusal):
            await calling.StartSubscription(request)
    with pytest.raises(Denied):
        await stub(ADA, service="Accounting").ListBalances(accounting_pb2.ListBalancesRequest())


@pytest.mark.parametrize("name", STATEMENTS)
async def test_the_database_understands_it(settings: Settings, name: str) -> None:
    """PostgreSQL prepares the statement: its tables, columns and types exist."""
    async with open_database(settings) as database, database.connection() as connection:
        await connection.prepare(getattr(sql, name).sql)
