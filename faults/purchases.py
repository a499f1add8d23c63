"""What people buy while everything breaks: a plan, paid by a card that may fail, more of it, less of it."""

from __future__ import annotations

import uuid
from typing import Any

import httpx

from faults.person import OK, Person

BILLING, INVOICES = "/tulle.billing.v1.BillingService", "/tulle.billing.v1.InvoicesService"
CARDS = (
    "pm_card_visa",
    "pm_card_visa",
    "pm_success_de",
    "pm_card_chargeCustomerFail",
    "pm_card_authenticationRequired",
)
"""One in two pays at once; a debit takes its time, one card is declined, one waits for a payer who never confirms."""


async def buy(person: Person) -> None:
    """Subscribe, pay what is open with another card, or want more; every repetition is the same request."""
    if not person.subscription:
        await _subscribe(person)
    elif person.unpaid and person.chance.random() < 0.7:
        await _pay(person, person.unpaid, person.chance.choice(CARDS))
    else:
        await _change(person)


async def _subscribe(person: Person) -> None:
    if not await _saved(person, person.chance.choice(CARDS)):
        return
    body = {"planId": "team-monthly", "quantity": person.chance.randrange(1, 4), "requestId": _request_id(person)}
    started = await _insist(person, f"{BILLING}/StartSubscription", "/v1/subscriptions", body)
    if started.status_code != OK:
        return
    person.subscription = started.json()["subscriptionId"]
    if invoice_id := started.json().get("openInvoiceId"):
        await _pay(person, invoice_id)


async def _saved(person: Person, card: str) -> bool:
    answer = await _insist(person, f"{INVOICES}/SavePaymentMethod", "/v1/paymentMethods", {"token": card})
    return answer.status_code == OK


async def _pay(person: Person, invoice_id: str, card: str = "") -> None:
    person.unpaid = invoice_id
    if card and not await _saved(person, card):
        return
    path = f"/v1/invoices/{invoice_id}:pay"
    answer = await _insist(person, f"{INVOICES}/PayInvoice", path, {}, invoice_id=invoice_id)
    if answer.status_code == OK:
        paid = answer.json()["invoice"]["state"] == "INVOICE_STATE_PAID"
        person.told("invoice", invoice_id=invoice_id, paid=paid)
        person.unpaid = "" if paid else invoice_id


async def _change(person: Person) -> None:
    """Change the quantity: the difference is charged, or given back."""
    path = f"/v1/subscriptions/{person.subscription}:change"
    await _insist(person, f"{BILLING}/ChangeSubscription", path, {"quantity": person.chance.randrange(1, 9)})


async def _insist(person: Person, method: str, path: str, body: dict[str, Any], **facts: Any) -> httpx.Response:
    return await person.insist(lambda: person.do(method, "POST", path, body, **facts))


def _request_id(person: Person) -> str:
    return str(uuid.UUID(int=person.chance.getrandbits(128), version=4))
