"""How each error that billing declares is provoked, and how a person comes by what billing keeps."""

from __future__ import annotations

import time
from typing import Any

import httpx

from infra.local.payments.hooks import signature
from mesh.model import new_id
from tests.e2e.people import Person
from tests.e2e.stories import Scene, Stories, post

STORIES = Stories()
SUBSCRIPTIONS, INVOICES, METHODS = "/v1/subscriptions", "/v1/invoices", "/v1/paymentMethods"
GOOD_CARD, BAD_CARD, CARD_TO_CONFIRM = "pm_card_visa", "pm_card_chargeCustomerFail", "pm_card_authenticationRequired"
WHY = "A bad day"


async def save(person: Person, token: str = GOOD_CARD) -> str:
    saved = await person.post(METHODS, {"token": token}, signed_in=True)
    return str(saved["paymentMethodId"])


async def start(person: Person, plan_id: str, **wanted: Any) -> dict[str, Any]:
    return await person.post(SUBSCRIPTIONS, {"planId": plan_id, **wanted}, signed_in=True)


async def get(person: Person, path: str, **query: str) -> httpx.Response:
    return await person.rest.get(path, params=query, headers=person.bearer)


async def did(person: Person, subscription_id: str, verb: str, **body: Any) -> httpx.Response:
    return await post(person, f"{SUBSCRIPTIONS}/{subscription_id}:{verb}", **body)


async def paid_subscription(person: Person, **wanted: Any) -> tuple[str, str]:
    """A paid subscription to the team plan and its first invoice, by their ids."""
    await save(person)
    started = await start(person, "team-monthly", **wanted)
    paid = await person.post(f"{INVOICES}/{started['openInvoiceId']}:pay", {}, signed_in=True)
    assert paid["invoice"]["state"] == "INVOICE_STATE_PAID", paid
    return started["subscriptionId"], started["openInvoiceId"]


async def open_invoice(person: Person) -> str:
    """What was used without a payment method is owed."""
    used = (await start(person, "api-calls"))["subscriptionId"]
    assert (await did(person, used, "recordUsage", usageId="all", quantity="100000")).status_code == 200
    assert (await did(person, used, "cancel", atOnce=True)).status_code == 200
    [invoice] = (await get(person, INVOICES)).json()["invoices"]
    return str(invoice["invoiceId"])


async def draft(person: Person) -> str:
    """What was paid for and is not used any more waits for the next invoice."""
    subscription_id, _ = await paid_subscription(person, quantity=4)
    assert (await did(person, subscription_id, "change", quantity=1)).status_code == 200
    found = (await get(person, INVOICES)).json()["invoices"]
    return next(str(one["invoiceId"]) for one in found if one["state"] == "INVOICE_STATE_DRAFT")


@STORIES.owns("subscription")
async def _(person: Person) -> str:
    return str((await start(person, "free"))["subscriptionId"])


@STORIES.owns("metered_subscription")
async def _(person: Person) -> str:
    return str((await start(person, "api-calls"))["subscriptionId"])


@STORIES.owns("open_invoice")
async def _(person: Person) -> str:
    invoice_id = await open_invoice(person)
    await save(person)
    return invoice_id


@STORIES.owns("paid_invoice")
async def _(person: Person) -> str:
    return (await paid_subscription(person))[1]


@STORIES.owns("payment_method")
async def _(person: Person) -> str:
    return await save(person)


@STORIES.provokes("StartSubscription", "UNKNOWN_PLAN")
async def _(scene: Scene) -> httpx.Response:
    return await post(await scene.somebody(), SUBSCRIPTIONS, planId="gold")


@STORIES.provokes("StartSubscription", "CURRENCY_MISMATCH")
async def _(scene: Scene) -> httpx.Response:
    return await post(await scene.somebody(), SUBSCRIPTIONS, planId="free", currency="USD")


@STORIES.provokes("StartSubscription", "QUANTITY_NOT_ALLOWED")
async def _(scene: Scene) -> httpx.Response:
    return await post(await scene.somebody(), SUBSCRIPTIONS, planId="api-calls", quantity=2)


@STORIES.provokes("StartSubscription", "ALREADY_SUBSCRIBED")
async def _(scene: Scene) -> httpx.Response:
    person = await scene.somebody()
    await start(person, "free")
    return await post(person, SUBSCRIPTIONS, planId="team-monthly", trial=True)


@STORIES.provokes("StartSubscription", "TRIAL_NOT_OFFERED")
async def _(scene: Scene) -> httpx.Response:
    return await post(await scene.somebody(), SUBSCRIPTIONS, planId="free", trial=True)


@STORIES.provokes("StartSubscription", "PAYMENT_METHOD_MISSING")
async def _(scene: Scene) -> httpx.Response:
    return await post(await scene.somebody(), SUBSCRIPTIONS, planId="team-monthly")


@STORIES.provokes("GetSubscription", "SUBSCRIPTION_NOT_FOUND")
async def _(scene: Scene) -> httpx.Response:
    return await get(await scene.somebody(), f"{SUBSCRIPTIONS}/{new_id('subscription')}")


@STORIES.provokes("ListSubscriptions", "BAD_PAGE_TOKEN")
async def _(scene: Scene) -> httpx.Response:
    return await get(await scene.somebody(), SUBSCRIPTIONS, pageToken="nope")


def _nobodys(method: str, verb: str, **body: Any) -> None:
    @STORIES.provokes(method, "SUBSCRIPTION_NOT_FOUND")
    async def _(scene: Scene) -> httpx.Response:
        return await did(await scene.somebody(), new_id("subscription"), verb, **body)


def _ended(method: str, verb: str, reason: str = "SUBSCRIPTION_ENDED", **body: Any) -> None:
    @STORIES.provokes(method, reason)
    async def _(scene: Scene) -> httpx.Response:
        person = await scene.somebody()
        ended = (await start(person, "api-calls"))["subscriptionId"]
        await did(person, ended, "cancel", atOnce=True)
        return await did(person, ended, verb, **body)


_USE = {"usageId": "one", "quantity": "5"}
_nobodys("ChangeSubscription", "change", quantity=2)
_nobodys("CancelSubscription", "cancel")
_nobodys("ResumeSubscription", "resume")
_nobodys("RecordUsage", "recordUsage", **_USE)
_ended("ChangeSubscription", "change", quantity=1)
_ended("CancelSubscription", "cancel", "ALREADY_CANCELLED")
_ended("ResumeSubscription", "resume")
_ended("RecordUsage", "recordUsage", **_USE)


@STORIES.provokes("ChangeSubscription", "SUBSCRIPTION_UNPAID")
async def _(scene: Scene) -> httpx.Response:
    person = await scene.somebody()
    await save(person, BAD_CARD)
    started = await start(person, "team-monthly")
    return await did(person, started["subscriptionId"], "change", quantity=2)


def _unchangeable(reason: str, had: str, **wanted: Any) -> None:
    @STORIES.provokes("ChangeSubscription", reason)
    async def _(scene: Scene) -> httpx.Response:
        person = await scene.somebody()
        return await did(person, (await start(person, had))["subscriptionId"], "change", **wanted)


_unchangeable("UNKNOWN_PLAN", "free", planId="gold")
_unchangeable("PLAN_OF_ANOTHER_PRODUCT", "free", planId="api-calls")
_unchangeable("CURRENCY_MISMATCH", "free", planId="team-monthly-usd")
_unchangeable("QUANTITY_NOT_ALLOWED", "api-calls", quantity=2)
_unchangeable("PAYMENT_METHOD_MISSING", "free", planId="team-monthly")


@STORIES.provokes("ChangeSubscription", "TOO_MANY_CHANGES")
async def _(scene: Scene) -> httpx.Response:
    person = await scene.somebody()
    subscription_id, _ = await paid_subscription(person, quantity=60)
    for quantity in range(59, 9, -1):
        assert (await did(person, subscription_id, "change", quantity=quantity)).status_code == 200
    return await did(person, subscription_id, "change", quantity=9)


@STORIES.provokes("RecordUsage", "NOT_METERED")
async def _(scene: Scene) -> httpx.Response:
    person = await scene.somebody()
    return await did(person, (await start(person, "free"))["subscriptionId"], "recordUsage", **_USE)


@STORIES.provokes("RecordUsage", "USAGE_ID_REUSED")
async def _(scene: Scene) -> httpx.Response:
    person = await scene.somebody()
    used = (await start(person, "api-calls"))["subscriptionId"]
    await did(person, used, "recordUsage", **_USE)
    return await did(person, used, "recordUsage", usageId="one", quantity="6")


@STORIES.provokes("RecordUsage", "USAGE_BEYOND_BOUND")
async def _(scene: Scene) -> httpx.Response:
    person = await scene.somebody()
    used = (await start(person, "api-calls"))["subscriptionId"]
    for place in range(20):
        await did(person, used, "recordUsage", usageId=str(place), quantity="10000000000")
    return await did(person, used, "recordUsage", **_USE)


@STORIES.provokes("ListInvoices", "BAD_PAGE_TOKEN")
async def _(scene: Scene) -> httpx.Response:
    return await get(await scene.somebody(), INVOICES, pageToken="nope")


def _unknown(method: str, path: str) -> None:
    @STORIES.provokes(method, "INVOICE_NOT_FOUND")
    async def _(scene: Scene) -> httpx.Response:
        return await get(await scene.somebody(), f"{INVOICES}/{new_id('invoice')}{path}")


_unknown("GetInvoice", "")
_unknown("DownloadInvoice", "/pdf")
_unknown("ListCreditNotes", "/creditNotes")


@STORIES.provokes("DownloadInvoice", "INVOICE_IS_DRAFT")
async def _(scene: Scene) -> httpx.Response:
    person = await scene.somebody()
    return await get(person, f"{INVOICES}/{await draft(person)}/pdf")


@STORIES.provokes("PayInvoice", "INVOICE_NOT_FOUND")
async def _(scene: Scene) -> httpx.Response:
    return await post(await scene.somebody(), f"{INVOICES}/{new_id('invoice')}:pay")


@STORIES.provokes("PayInvoice", "INVOICE_NOT_OPEN")
async def _(scene: Scene) -> httpx.Response:
    person = await scene.somebody()
    return await post(person, f"{INVOICES}/{await draft(person)}:pay")


@STORIES.provokes("PayInvoice", "PAYMENT_METHOD_MISSING")
async def _(scene: Scene) -> httpx.Response:
    person = await scene.somebody()
    return await post(person, f"{INVOICES}/{await open_invoice(person)}:pay")


@STORIES.provokes("UpdateBillingDetails", "UNKNOWN_FIELD")
async def _(scene: Scene) -> httpx.Response:
    person = await scene.somebody()
    path = "/v1/billingDetails?updateMask=nope"
    return await person.rest.patch(path, json={"name": "Ada"}, headers=person.bearer)


@STORIES.provokes("SavePaymentMethod", "UNKNOWN_PAYMENT_TOKEN")
async def _(scene: Scene) -> httpx.Response:
    return await post(await scene.somebody(), METHODS, token="pm_nobodys")


@STORIES.provokes("SavePaymentMethod", "PAYMENT_METHOD_DECLINED")
async def _(scene: Scene) -> httpx.Response:
    return await post(await scene.somebody(), METHODS, token="pm_card_visa_chargeDeclined")


@STORIES.provokes("RemovePaymentMethod", "PAYMENT_METHOD_NOT_FOUND")
async def _(scene: Scene) -> httpx.Response:
    return await post(await scene.somebody(), f"{METHODS}/pm_nobodys:remove")


@STORIES.provokes("RemovePaymentMethod", "PAYMENT_METHOD_IN_USE")
async def _(scene: Scene) -> httpx.Response:
    person = await scene.somebody()
    saved = await save(person)
    await start(person, "free")
    return await post(person, f"{METHODS}/{saved}:remove")


async def corrected(scene: Scene, verb: str, invoice_id: str = "", **body: Any) -> httpx.Response:
    """What an administrator is told."""
    administrator = await scene.administrator()
    return await post(administrator, f"{INVOICES}/{invoice_id or new_id('invoice')}:{verb}", **body)


@STORIES.provokes("RefundInvoice", "INVOICE_NOT_FOUND")
async def _(scene: Scene) -> httpx.Response:
    return await corrected(scene, "refund", full=True, reason=WHY)


@STORIES.provokes("RefundInvoice", "INVOICE_NOT_FINAL")
async def _(scene: Scene) -> httpx.Response:
    return await corrected(scene, "refund", await open_invoice(await scene.somebody()), full=True, reason=WHY)


@STORIES.provokes("RefundInvoice", "REFUND_TOO_LARGE")
async def _(scene: Scene) -> httpx.Response:
    _, invoice_id = await paid_subscription(await scene.somebody())
    return await corrected(scene, "refund", invoice_id, amountMinor="1072", reason=WHY)


@STORIES.provokes("CreditInvoice", "INVOICE_NOT_FOUND")
async def _(scene: Scene) -> httpx.Response:
    return await corrected(scene, "credit", amountMinor="5", reason=WHY)


@STORIES.provokes("CreditInvoice", "INVOICE_NOT_FINAL")
async def _(scene: Scene) -> httpx.Response:
    return await corrected(scene, "credit", await draft(await scene.somebody()), amountMinor="5", reason=WHY)


@STORIES.provokes("CreditInvoice", "CREDIT_TOO_LARGE")
async def _(scene: Scene) -> httpx.Response:
    invoice_id = await open_invoice(await scene.somebody())
    return await corrected(scene, "credit", invoice_id, amountMinor="5951", reason=WHY)


@STORIES.provokes("VoidInvoice", "INVOICE_NOT_FOUND")
async def _(scene: Scene) -> httpx.Response:
    return await corrected(scene, "void")


@STORIES.provokes("VoidInvoice", "INVOICE_NOT_OPEN")
async def _(scene: Scene) -> httpx.Response:
    _, invoice_id = await paid_subscription(await scene.somebody())
    return await corrected(scene, "void", invoice_id)


@STORIES.provokes("VoidInvoice", "PAYMENT_UNDER_WAY")
async def _(scene: Scene) -> httpx.Response:
    person = await scene.somebody()
    await save(person, CARD_TO_CONFIRM)
    started = await start(person, "team-monthly")
    return await corrected(scene, "void", started["openInvoiceId"])


async def webhook(scene: Scene, body: bytes = b'{"id": "evt_1"}', secret: str = "", age: int = 0) -> httpx.Response:
    """What the payment provider would send, signed so long ago."""
    signed = signature(secret or scene.stack.layout.secret("billing", "stripe-webhook"), body, int(time.time()) - age)
    headers = {"content-type": "application/json; charset=utf-8", "stripe-signature": signed}
    return await scene.newcomer().rest.post("/v1/billing/webhooks:stripe", content=body, headers=headers)


@STORIES.provokes("ReceiveStripeEvent", "WEBHOOK_FORGED")
async def _(scene: Scene) -> httpx.Response:
    return await webhook(scene, secret="whsec_mine")


@STORIES.provokes("ReceiveStripeEvent", "WEBHOOK_STALE")
async def _(scene: Scene) -> httpx.Response:
    return await webhook(scene, age=301)


@STORIES.provokes("ReceiveStripeEvent", "WEBHOOK_MALFORMED")
async def _(scene: Scene) -> httpx.Response:
    return await webhook(scene, body=b"[]")
