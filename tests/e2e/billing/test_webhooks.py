"""Webhooks through the gateway of a running stack, from its payment provider."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import pytest
import pytest_asyncio

from tests.e2e.billing.stories import INVOICES, get, save, start, webhook
from tests.e2e.people import Person, eventually
from tests.e2e.stacks import Stack
from tests.e2e.stories import Scene

Faults = Callable[..., Awaitable[Any]]


@pytest_asyncio.fixture(loop_scope="session")
async def faults(stack: Stack) -> AsyncIterator[Faults]:
    """Sets how bad the line of the payment provider is, until the test ends."""
    url = f"http://127.0.0.1:{stack.layout.ports['payments']}"
    key = stack.layout.secret("billing", "stripe-key")
    async with httpx.AsyncClient(base_url=url, auth=(key, "")) as client:

        async def set_to(**what: object) -> Any:
            return (await client.post("/_control", json=what)).json()

        yield set_to
        await set_to(hold=False, shuffle=False, duplicate=0)


async def paid(person: Person, invoice_id: str) -> bool:
    state = (await get(person, f"{INVOICES}/{invoice_id}")).json()["state"]
    return bool(state == "INVOICE_STATE_PAID")


@pytest.mark.parametrize("bad", [False, True], ids=["good line", "shuffled and doubled"])
async def test_slow_payment_arrives_by_webhook(stack: Stack, somebody: Person, faults: Faults, bad: bool) -> None:
    """A debit that the bank decides later is booked when the provider says so, once, however often and in any order."""
    if bad:
        await faults(hold=True, shuffle=True, duplicate=2)
    await save(somebody, "pm_success_de")
    invoice_id = (await start(somebody, "team-monthly"))["openInvoiceId"]

    async def told() -> bool:
        return bool((await faults())["webhooks_waiting"] > 1)

    if bad:
        await eventually(told)
        await faults(hold=False)
    await eventually(lambda: paid(somebody, invoice_id))

    async def all_arrived() -> bool:
        return bool((await faults())["webhooks_waiting"] == 0)

    await eventually(all_arrived)
    posted = await stack.rows(
        "billing",
        "SELECT entries.amount FROM entries JOIN charges ON source = 'charge:' || charge_id "
        f"WHERE account = 'clearing' AND invoice_id = '{invoice_id}'",
    )
    assert [row["amount"] for row in posted] == [1071]


async def test_signature_covers_every_byte(stack: Stack) -> None:
    """What nobody would notice in JSON counts: the body reaches billing byte for byte, and again it is known."""
    scene = Scene(stack)
    body = b'{ "id":"evt_bytes", "type":"\\u0061.b" ,"data":{"object":{"object":"x","x":1.0,"x":1}}}  \n'
    try:
        answers = [await webhook(scene, body) for _ in range(2)]
    finally:
        await scene.close()
    assert [answer.status_code for answer in answers] == [200, 200], answers[0].text
    kept = await stack.rows("billing", "SELECT kind FROM provider_notices WHERE notice_id = 'evt_bytes'")
    assert [row["kind"] for row in kept] == ["a.b"]
