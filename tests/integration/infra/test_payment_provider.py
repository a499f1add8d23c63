"""The stand-in for Stripe forgets nothing that it has answered, and its webhooks arrive."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiohttp import web

from infra.local.payments.state import journal
from services.billing.domain.webhooks import verify
from tests.servers import PaymentProvider, until


@dataclass
class Receiver:
    """Takes webhooks; the next `refusals` of them are refused."""

    url: str = ""
    refusals: int = 0
    came: list[dict[str, Any]] = field(default_factory=list)

    async def take(self, request: web.Request) -> web.Response:
        body = await request.read()
        verify(body, request.headers["Stripe-Signature"], [PaymentProvider.SECRET], datetime.now(UTC))
        self.came.append(json.loads(body))
        self.refusals -= 1
        return web.Response(status=500 if self.refusals >= 0 else 200)

    async def until(self, kind: str, times: int = 1) -> None:
        """Wait until an event of this kind has come so often."""

        async def came() -> None:
            if Counter(event["type"] for event in self.came)[kind] < times:
                raise ValueError("not yet")

        await until(came)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    made = Receiver()
    app = web.Application()
    app.router.add_post("/", made.take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    yield made
    await runner.cleanup()


@pytest.fixture
async def provider(tmp_path: Path, receiver: Receiver) -> AsyncIterator[PaymentProvider]:
    server = PaymentProvider(tmp_path, receiver.url)
    await server.start()
    yield server
    server.kill()


async def post(provider: PaymentProvider, path: str, key: str = "", **form: str) -> Any:
    return await provider.ask("POST", f"/v1/{path}", data=form, headers={"Idempotency-Key": key} if key else {})


async def charge(provider: PaymentProvider, method: str = "pm_card_visa", key: str = "charge_1") -> Any:
    """Charge a new customer."""
    customer = (await post(provider, "customers"))["id"]
    attached = (await post(provider, f"payment_methods/{method}/attach", customer=customer))["id"]
    form = {"amount": "900", "currency": "eur", "customer": customer, "payment_method": attached, "confirm": "true"}
    return await post(provider, "payment_intents", key, **form, **{"metadata[charge_id]": key})


async def restart(provider: PaymentProvider) -> None:
    provider.kill()
    await provider.start()


async def test_what_was_answered_survives_a_kill(provider: PaymentProvider) -> None:
    """A charge that was answered is there after SIGKILL, under its key, with its line in the journal."""
    made = await charge(provider)
    await restart(provider)
    assert (await provider.ask("GET", f"/v1/payment_intents/{made['id']}"))["status"] == "succeeded"
    lines = [line for line in journal(provider.folder) if line["id"] == made["id"]]
    assert [(line["amount"], line["status"], line["idempotency_key"]) for line in lines] == [
        (900, "succeeded", "charge_1")
    ]


async def test_key_is_for_one_request(provider: PaymentProvider) -> None:
    """The same request under its key gets the same answer, also after a kill; another one under it is refused."""
    first = await post(provider, "customers", "key_1", name="Ada")
    await restart(provider)
    assert await post(provider, "customers", "key_1", name="Ada") == first
    assert (await post(provider, "customers", "key_1", name="Bob"))["error"]["type"] == "idempotency_error"
    assert (await post(provider, "refunds", "key_1", name="Ada"))["error"]["type"] == "idempotency_error"


async def test_nobody_without_the_key(provider: PaymentProvider) -> None:
    """Without the stack's key nothing is told or done, and localstripe's own doors are closed to everybody."""
    async with httpx.AsyncClient(base_url=provider.url) as stranger:
        for path in ("/v1/customers", "/_control", "/_control/journal"):
            assert (await stranger.get(path)).status_code == 401
            assert (await stranger.get(path, auth=("sk_test_other", ""))).status_code == 401
        assert (await stranger.delete("/_config/data", auth=(provider.KEY, ""))).status_code == 404


async def test_webhook_comes_until_it_is_taken(provider: PaymentProvider, receiver: Receiver) -> None:
    """A webhook that is refused comes again, signed anew, and not once more when it has been taken."""
    receiver.refusals = 3
    await charge(provider)
    await receiver.until("payment_intent.succeeded", 1)

    async def all_taken() -> None:
        if (await provider.faults())["webhooks_waiting"]:
            raise ValueError("not yet")

    await until(all_taken)
    times = Counter(event["id"] for event in receiver.came)
    assert sum(times.values()) == len(times) + 3


async def test_webhook_survives_a_kill(provider: PaymentProvider, receiver: Receiver) -> None:
    """What was not delivered when the process died is delivered by the next one."""
    await provider.faults(hold=True)
    await charge(provider)
    assert not receiver.came
    await restart(provider)
    await receiver.until("payment_intent.succeeded")


async def test_debit_under_way_survives_a_kill(provider: PaymentProvider, receiver: Receiver) -> None:
    """A debit that its bank had not decided when the process died is decided afterwards."""
    made = await charge(provider, "pm_success_de")
    assert made["status"] == "processing"
    await restart(provider)
    await receiver.until("payment_intent.succeeded")
    assert (await provider.ask("GET", f"/v1/payment_intents/{made['id']}"))["status"] == "succeeded"


async def test_bad_line(provider: PaymentProvider, receiver: Receiver) -> None:
    """A request that is cut has its effect and no answer; one that is refused has none; doubled webhooks come twice."""
    await provider.faults(cut=1, duplicate=1)
    with pytest.raises(httpx.TransportError):
        await post(provider, "customers", "key_1", name="Ada")
    assert (await post(provider, "customers", "key_1", name="Ada"))["name"] == "Ada"
    assert len((await provider.ask("GET", "/v1/customers"))["data"]) == 1
    await provider.faults(refuse=1)
    assert (await post(provider, "customers", name="Bob"))["error"]["type"] == "api_error"
    assert len((await provider.ask("GET", "/v1/customers"))["data"]) == 1
    await receiver.until("customer.created", 2)
    assert len({event["id"] for event in receiver.came}) == 1


@pytest.mark.parametrize(
    ("method", "status"),
    [
        ("pm_card_chargeCustomerFail", "requires_payment_method"),
        ("pm_card_authenticationRequired", "requires_action"),
        ("pm_failed_de", "requires_payment_method"),
    ],
)
async def test_state_survives_a_kill(provider: PaymentProvider, receiver: Receiver, method: str, status: str) -> None:
    """What became of a charge before the process died, at once or later, is so afterwards."""
    await charge(provider, method)
    if method == "pm_failed_de":
        await receiver.until("payment_intent.payment_failed")
    before = await provider.ask("GET", "/v1/payment_intents")
    await restart(provider)
    assert [one["status"] for one in before["data"]] == [status]
    assert await provider.ask("GET", "/v1/payment_intents") == before
