"""What people buy while everything breaks: a plan, paid by card, more of it, and what they are told of it."""

from __future__ import annotations

import uuid
from typing import Any

import httpx

from faults.person import OK, Person

BILLING, INVOICES = "/tulle.billing.v1.BillingService", "/tulle.billing.v1.InvoicesService"
CARDS = ("pm_card_visa", "pm_card_visa", "pm_card_chargeCustomerFail")


async def buy(person: Person) -> None:
    """Subscribe and pay, as often as it takes; every repetition is the same request."""
    if person.subscription:
        await _more(person)
        return
    card = person.chance.choice(CARDS)
    saved = await _insist(person, f"{INVOICES}/SavePaymentMethod", "/v1/paymentMethods", {"token": card})
    if saved.status_code != OK:
        return
    body = {"planId": "team-monthly", "quantity": person.chance.randrange(1, 4), "requestId": _request_id(person)}
    started = await _insist(person, f"{BILLING}/StartSubscription", "/v1/subscriptions", body)
    if started.status_code != OK:
        return
    person.subscription = started.json()["subscriptionId"]
    if invoice_id := started.json().get("openInvoiceId"):
        await _pay(person, invoice_id)


async def _pay(person: Person, invoice_id: str) -> None:
    path = f"/v1/invoices/{invoice_id}:pay"
    answer = await _insist(person, f"{INVOICES}/PayInvoice", path, {}, invoice_id=invoice_id)
    if answer.status_code == OK:
        state = answer.json()["invoice"]["state"]
        person.told("invoice", invoice_id=invoice_id, paid=state == "INVOICE_STATE_PAID")


async def _more(person: Person) -> None:
    """Change the quantity: the difference is charged, or given back."""
    body = {"quantity": person.chance.randrange(1, 9), "requestId": _request_id(person)}
    path = f"/v1/subscriptions/{person.subscription}:change"
    await _insist(person, f"{BILLING}/ChangeSubscription", path, body)


async def _insist(person: Person, method: str, path: str, body: dict[str, Any], **facts: Any) -> httpx.Response:
    return await person.insist(lambda: person.do(method, "POST", path, body, **facts))


def _request_id(person: Person) -> str:
    return str(uuid.UUID(int=person.chance.getrandbits(128), version=4))
