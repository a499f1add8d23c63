"""What the payment provider tells us is believed if it is signed and new, and its order does not matter."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.local.payments.hooks import signature
from services.billing.domain.charging import BILLING
from services.billing.domain.entities import InvoiceState, SubscriptionState
from services.billing.domain.errors import WebhookForged, WebhookMalformed, WebhookStale
from services.billing.domain.ledger import Account
from services.billing.domain.ports import ProviderState
from services.billing.domain.webhooks import FRESH_FOR, Notice, Webhooks, read, verify
from tests.unit.services.billing.world import ADA, START, World

SECRET, OLD = "whsec_new", "whsec_old"
BODY = b'{"id": "evt_1"}'
NOW = int(START.timestamp())


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def test_signed_body_is_believed() -> None:
    """A body that is signed with the secret, or with the one before while it is rotated, is believed."""
    for secret in (SECRET, OLD):
        verify(BODY, signature(secret, BODY, NOW), [SECRET, OLD], START)


def test_one_good_signature_of_several_is_enough() -> None:
    """While Stripe rotates a secret it signs with both; versions that nobody knows are passed over."""
    ours, theirs = (signature(secret, BODY, NOW).partition("v1=")[2] for secret in (SECRET, "whsec_other"))
    verify(BODY, f"t={NOW},v0=abc,v1={theirs},v1={ours}", [SECRET], START)


GOOD = signature(SECRET, BODY, NOW)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "nonsense",
        GOOD.replace("v1=", "v0="),
        GOOD.replace(f"t={NOW}", f"t={NOW + 1}"),
        GOOD.replace(f"t={NOW},", ""),
        f"t={NOW},{GOOD}",
        f"t=²,{GOOD.partition(',')[2]}",
        f"{GOOD[:-1]}ö",
        f"{GOOD},{'x' * 1024}",
        signature("whsec_other", BODY, NOW),
        signature("", BODY, NOW),
        signature(SECRET, b"{}", NOW),
    ],
)
def test_forged_signature_is_refused(header: str) -> None:
    """Anything but the provider's signature of this very body is refused."""
    with pytest.raises(WebhookForged):
        verify(BODY, header, [SECRET], START)


def test_no_secret_believes_nobody() -> None:
    """Without a secret nothing is believed, nor with a third one."""
    for secrets in ([], ["whsec_1", "whsec_2", SECRET]):
        with pytest.raises(WebhookForged):
            verify(BODY, GOOD, secrets, START)


@pytest.mark.parametrize("late", [-1, 1])
def test_old_signature_is_refused(late: int) -> None:
    """A signature is good for five minutes, either way of our clock, and not a second longer."""
    edge = late * FRESH_FOR.total_seconds()
    verify(BODY, GOOD, [SECRET], at(edge))
    with pytest.raises(WebhookStale):
        verify(BODY, GOOD, [SECRET], at(edge + late))


@pytest.mark.parametrize(
    "body", [b"", b"5", b"[]", b"{}", b'{"id": 1}', b'{"id":"e","type":"t","data":[]}', b"\xff", b"[" * 100_000]
)
def test_what_is_no_event_is_refused(body: bytes) -> None:
    """A signed body that is no event is refused, and never a failure of ours."""
    with pytest.raises(WebhookMalformed):
        read(body)


def test_event_of_others_is_about_nothing_of_ours() -> None:
    """Others may use the same account: what carries no id of ours is about nothing."""
    for what in ({"object": "customer"}, {"object": "payment_intent", "metadata": None}, {"object": "refund"}):
        assert read(json.dumps({"id": "evt_1", "type": "a", "data": {"object": what}}).encode()) == Notice("evt_1", "a")


@dataclass
class Provider:
    """Sends the webhooks of one payment."""

    world: World
    charge_id: str

    @property
    def webhooks(self) -> Webhooks:
        return Webhooks(self.world.store, lambda: [SECRET], lambda: self.world.now)

    async def send(self, kind: str, refund_id: str = "") -> bool:
        """Tell of one event of the charge or of a refund of it; each kind happens once."""
        what: dict[str, Any] = {"object": "payment_intent", "metadata": {"charge_id": self.charge_id}}
        if refund_id:
            what = {"object": "refund", "metadata": {"refund_id": refund_id}}
        body = json.dumps({"id": f"evt_{kind}", "type": kind, "data": {"object": what}}).encode()
        return await self.webhooks.receive(BILLING, body, signature(SECRET, body, int(self.world.now.timestamp())))


async def paying(outcome: str) -> Provider:
    """Somebody has subscribed, and their bank takes its time."""
    world = World()
    await world.card(outcome)
    await world.start()
    await world.pass_time(seconds=1)
    return Provider(world, world.charges[0].charge_id)


async def test_webhook_is_taken_once() -> None:
    """The same event again is answered and does nothing."""
    provider = await paying("slow")
    now = provider.world.now
    assert provider.world.store.questions[provider.charge_id] > now
    assert await provider.send("succeeded")
    assert provider.world.store.questions == {provider.charge_id: now}
    await provider.world.ask()
    assert [await provider.send("succeeded") for _ in range(2)] == [False, False]
    assert provider.world.store.questions[provider.charge_id] > now


async def test_webhook_settles_a_payment_at_once() -> None:
    """A payment that the bank has decided is settled when the provider says so, not an hour later."""
    provider = await paying("slow")
    provider.world.payments.decide(provider.charge_id, ProviderState.SUCCEEDED)
    await provider.world.pass_time(seconds=1)
    states = [provider.world.invoices[0].state]
    await provider.send("succeeded")
    await provider.world.pass_time(seconds=1)
    states.append(provider.world.invoices[0].state)
    assert states == [InvoiceState.OPEN, InvoiceState.PAID]


async def test_lie_is_no_payment() -> None:
    """What an event says is not believed: the provider is asked."""
    provider = await paying("slow")
    await provider.send("succeeded")
    await provider.world.pass_time(seconds=1)
    assert provider.world.invoices[0].state is InvoiceState.OPEN


EARLY = ("created", "processing", "requires_action")
KINDS = (*EARLY, "payment_failed", "succeeded", "canceled")
TOTAL = 1071
"""Of one seat for one month, with tax."""
OUTCOMES = {
    ProviderState.SUCCEEDED: (InvoiceState.PAID, SubscriptionState.ACTIVE, TOTAL),
    ProviderState.FAILED: (InvoiceState.OPEN, SubscriptionState.INCOMPLETE, 0),
}


@settings(deadline=None)
@given(
    outcome=st.sampled_from(["slow", "confirm"]),
    decided=st.sampled_from(sorted(OUTCOMES)),
    early=st.lists(st.sampled_from(EARLY), max_size=5),
    late=st.permutations(KINDS),
    doubled=st.lists(st.sampled_from(KINDS), max_size=5),
    at_once=st.booleans(),
)
async def test_order_does_not_matter(
    outcome: str, decided: ProviderState, early: list[str], late: list[str], doubled: list[str], at_once: bool
) -> None:
    """Whatever comes before the bank decides, and in whatever order and number the rest comes, the end is the same."""
    provider = await paying(outcome)
    world = provider.world
    for kind in early:
        await provider.send(kind)
        await world.pass_time(seconds=1)
    world.payments.decide(provider.charge_id, decided)
    for kind in [*late, *doubled]:
        await provider.send(kind)
        await world.pass_time(seconds=0 if at_once else 1)
    await world.pass_time(seconds=1)
    subscription = world.subscription(world.invoices[0].subscription_id)
    assert (world.invoices[0].state, subscription.state, await world.holds(Account.CLEARING)) == OUTCOMES[decided]
    assert len(world.charges) == 1
    await world.check()


CHANGES = (ProviderState.ACTION_NEEDED, ProviderState.DECLINED, ProviderState.SUCCEEDED, ProviderState.FAILED)


@settings(deadline=None)
@given(
    outcome=st.sampled_from(["slow", "confirm", "declined"]),
    story=st.lists(st.one_of(st.sampled_from(CHANGES), st.sampled_from(KINDS), st.integers(1, 30)), max_size=12),
    told=st.permutations(KINDS),
)
async def test_provider_changes_its_mind(outcome: str, story: list[ProviderState | str | int], told: list[str]) -> None:
    """Declined, then paid, then cancelled: whatever becomes of a charge while we hear of it or not, the end is true.

    Nobody can pay twice at any moment, and in the end we hold what the provider holds for us.
    """
    provider = await paying(outcome)
    world = provider.world
    for one in story:
        if isinstance(one, ProviderState):
            world.payments.decide(provider.charge_id, one)
        elif isinstance(one, str):
            await provider.send(one)
            await world.pass_time(seconds=1)
        else:
            await world.pass_time(hours=one)
        await world.check()
    for kind in told:
        await provider.send(kind)
    await world.pass_time(days=3)
    await world.check()
    assert await world.holds(Account.CLEARING) == world.payments.holds("EUR")
    assert (world.payments.holds("EUR") == TOTAL) is (world.invoices[0].state is InvoiceState.PAID)


OF_A_REFUND = ("refund.created", "refund.updated", "charge.refund.updated", "refund.failed")


@settings(deadline=None)
@given(
    early=st.lists(st.sampled_from(OF_A_REFUND), max_size=3),
    between=st.lists(st.sampled_from(OF_A_REFUND), max_size=3),
    late=st.permutations(OF_A_REFUND),
    comes_back=st.booleans(),
)
async def test_order_of_refunds_does_not_matter(
    early: list[str], between: list[str], late: list[str], comes_back: bool
) -> None:
    """A refund that is done, or that a bank sends back later, is booked as it ends, whenever its webhooks come."""
    provider = await paying("ok")
    world = provider.world
    refund = await world.billing.corrections.refund(ADA, world.invoices[0].invoice_id, 71, "")
    for place, told in enumerate((early, between, late)):
        if place == 2 and comes_back:
            world.payments.send_back(refund.refund_id)
        for kind in told:
            await provider.send(f"{kind}.{place}", refund.refund_id)
            await world.pass_time(seconds=1)
        await world.pass_time(minutes=1)
    back = 71 if comes_back else 0
    assert await world.holds(Account.CREDIT) == -back
    assert await world.holds(Account.CLEARING) == world.payments.holds("EUR") == TOTAL - 71 + back
    await world.check()
