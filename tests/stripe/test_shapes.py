"""Every request that billing makes has a shape that Stripe takes: stripe-mock holds it against Stripe's own OpenAPI."""

from __future__ import annotations

import inspect
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
import stripe

from infra import gotools
from infra.local.unit import listening_on
from mesh.model import OrganisationId
from services.billing.domain.money import Money
from services.billing.domain.ports import ChargeOrder, Payments, RefundOrder
from services.billing.payments import StripePayments
from tests.servers import free_port, until

REFUND = RefundOrder("refund_1", "pi_1", Money(300, "EUR"))
CALLS: Mapping[str, Callable[[Payments], Awaitable[object]]] = {
    "customer": lambda payments: payments.customer(OrganisationId("organisation_1")),
    "save_method": lambda payments: payments.save_method("cus_1", "pm_1"),
    "methods": lambda payments: payments.methods("cus_1"),
    "remove_method": lambda payments: payments.remove_method("cus_1", "pm_1"),
    "charge": lambda payments: payments.charge(ChargeOrder("charge_1", "cus_1", "pm_1", Money(900, "EUR"), "2026-1")),
    "find_charge": lambda payments: payments.find_charge("charge_1"),
    "cancel": lambda payments: payments.cancel("pi_1"),
    "refund": lambda payments: payments.refund(REFUND),
    "find_refund": lambda payments: payments.find_refund(REFUND),
    "journal": lambda payments: payments.journal(datetime.now(UTC)),
}


class Recording(stripe.HTTPXClient):
    """Stripe's transport, which keeps what was asked and how that was answered."""

    def __init__(self) -> None:
        super().__init__(timeout=5)
        self.asked: list[tuple[str, str, int]] = []

    async def request_async(self, method: str, url: str, *rest: Any, **named: Any) -> Any:
        answer = await super().request_async(method, url, *rest, **named)
        self.asked.append((method, url, answer[1]))
        return answer


@pytest.fixture(scope="module")
def mock() -> Iterator[int]:
    """stripe-mock; its port."""
    port = free_port()
    program = gotools.binaries("stripe", print) / "stripe-mock"
    process = subprocess.Popen([str(program), "-http-addr", f"127.0.0.1:{port}"], stdout=subprocess.DEVNULL)
    try:
        yield port
    finally:
        process.kill()
        process.wait(10)


@pytest.fixture
async def http() -> AsyncIterator[Recording]:
    """What was asked."""
    client = Recording()
    yield client
    await client.close_async()  # type: ignore[no-untyped-call]


@pytest.fixture
async def client(mock: int, http: Recording) -> stripe.StripeClient:
    """Stripe's client, which talks to stripe-mock."""
    await until(lambda: listening_on(mock))
    return stripe.StripeClient("sk_test_1", http_client=http, base_addresses={"api": f"http://127.0.0.1:{mock}"})


@pytest.mark.parametrize("method", [name for name, _ in inspect.getmembers(Payments) if name[0] != "_"])
async def test_stripe_takes_every_request(method: str, client: stripe.StripeClient, http: Recording) -> None:
    """Whatever the port can be asked, Stripe understands each request that comes of it."""
    await CALLS[method](StripePayments(client))
    assert http.asked
    assert {status for _, _, status in http.asked} == {200}, http.asked


async def test_new_customer(client: stripe.StripeClient, http: Recording) -> None:
    """So it does the one that makes a customer, which is sent when none is found."""
    await client.v1.customers.create_async({"metadata": {"organisation_id": "organisation_1"}})
    assert http.asked[0][2] == 200


async def test_wrong_shapes_are_refused(client: stripe.StripeClient) -> None:
    """What Stripe does not know is refused: these tests can fail."""
    with pytest.raises(stripe.InvalidRequestError):
        await client.v1.refunds.create_async({"payment": "pi_1"})  # type: ignore[arg-type]
