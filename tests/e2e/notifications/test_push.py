"""From a payment to a browser, on the running stack: the push service is on this machine, the rest as it is."""

from __future__ import annotations

import asyncio
import base64
import json

from tests.e2e.people import PATIENCE
from tests.e2e.stacks import Stack
from tests.integration.notifications.browsers import Browser, push_service

ENDPOINTS = "/v1/push/endpoints"


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


async def test_a_payment_reaches_the_browser(stack: Stack) -> None:
    """Who pays hears of it where they asked to be told, once, and nobody on the way can read it."""
    person, browser = await stack.person().arrive(), Browser()
    with push_service() as service:
        keys = {"p256dh": _text(browser.public), "auth": _text(browser.auth)}
        made = await person.post(ENDPOINTS, {"url": service.url, **keys}, signed_in=True)
        assert made["host"] == "127.0.0.1"
        await person.post("/v1/paymentMethods", {"token": "pm_card_visa"}, signed_in=True)
        order = {"planId": "team-monthly", "quantity": 3}
        subscription = await person.post("/v1/subscriptions", order, signed_in=True)
        await person.post(f"/v1/invoices/{subscription['openInvoiceId']}:pay", {}, signed_in=True)
        async with asyncio.timeout(PATIENCE):
            while not service.heard:  # noqa: ASYNC110 (a thread hears it)
                await asyncio.sleep(0.1)
        (_, headers, body) = service.heard[0]
        told = json.loads(browser.read(body))
        assert (told["kind"], told["title"]) == ("invoice_paid", "Invoice paid")
        key = (await person.rest.get("/v1/push/vapidKey")).json()["publicKey"]
        assert headers["authorization"].endswith(f"k={key}")
        page = (await person.rest.get("/v1/inbox/messages", headers=person.bearer)).json()
        assert told["number"] in {one["number"] for one in page["messages"] if one["kind"] == told["kind"]}
        assert len(service.heard) == 1
