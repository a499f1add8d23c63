"""What every payment provider promises; run against the stack's, over Stripe's client, and against the fake."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from mesh.model import OrganisationId, Unavailable, new_id
from services.billing.domain.errors import PaymentMethodDeclined, UnknownPaymentToken
from services.billing.domain.money import Money
from services.billing.domain.ports import ChargeOrder, ProviderCharge, ProviderRefund, ProviderState, RefundOrder
from tests.contract.payments.providers import Provider

S = ProviderState
ADAS, BOBS = OrganisationId("organisation_ada"), OrganisationId("organisation_bob")


async def order(provider: Provider, outcome: str = "ok", amount: int = 900) -> ChargeOrder:
    """An order to a method of Ada's organisation with this outcome."""
    customer = await provider.payments.customer(ADAS)
    method = await provider.payments.save_method(customer, provider.token(outcome))
    return ChargeOrder(new_id("charge"), customer, method.method, Money(amount, "EUR"), "2026-000001")


async def charged(provider: Provider, outcome: str = "ok") -> tuple[ChargeOrder, ProviderCharge]:
    """A charge with this outcome."""
    asked = await order(provider, outcome)
    return asked, await provider.payments.charge(asked)


async def found(provider: Provider, asked: ChargeOrder) -> ProviderCharge:
    """What the provider says of it now."""
    charge = await provider.payments.find_charge(asked.charge_id)
    assert charge is not None
    return charge


async def test_organisation_has_one_customer(provider: Provider) -> None:
    """An organisation is one customer, however often it is asked for, and nobody else's."""
    asked = [await provider.payments.customer(one) for one in (ADAS, BOBS, ADAS)]
    assert asked[0] == asked[2] != asked[1]


async def test_twins_make_one_customer(provider: Provider) -> None:
    """Asked twice at once, it is still one."""
    twins: list[str] = []
    for _ in range(3):
        twins += await asyncio.gather(*(provider.payments.customer(ADAS) for _ in range(2)))
    assert len(set(twins)) == 1


async def test_methods_are_kept_and_forgotten(provider: Provider) -> None:
    """A saved method is listed for its customer alone until it is removed."""
    ada, bob = [await provider.payments.customer(one) for one in (ADAS, BOBS)]
    first, second = [await provider.payments.save_method(ada, provider.token(one)) for one in ("ok", "slow")]
    assert first.brand == "visa" and len(first.last4) == 4
    assert {one.method for one in await provider.payments.methods(ada)} == {first.method, second.method}
    assert not await provider.payments.methods(bob)
    await provider.payments.remove_method(ada, first.method)
    await provider.payments.remove_method(ada, first.method)
    assert [one.method for one in await provider.payments.methods(ada)] == [second.method]


async def test_methods_that_cannot_be_saved(provider: Provider) -> None:
    """A token that stands for nothing is told apart from a method that its bank declines."""
    ada = await provider.payments.customer(ADAS)
    with pytest.raises(UnknownPaymentToken):
        await provider.payments.save_method(ada, "pm_nobody")
    with pytest.raises(PaymentMethodDeclined):
        await provider.payments.save_method(ada, provider.token("refused"))
    assert not await provider.payments.methods(ada)


@pytest.mark.parametrize(
    ("outcome", "state"),
    [("ok", S.SUCCEEDED), ("declined", S.DECLINED), ("confirm", S.ACTION_NEEDED), ("slow", S.PENDING)],
)
async def test_outcomes(provider: Provider, outcome: str, state: ProviderState) -> None:
    """A charge succeeds, fails with a reason, waits for its payer, who gets a secret for that, or for the bank."""
    asked, charge = await charged(provider, outcome)
    assert (charge.state, bool(charge.client_secret)) == (state, state is S.ACTION_NEEDED)
    assert charge.failure == ("card_declined" if outcome == "declined" else "") or charge.failure == "generic_decline"
    assert await found(provider, asked) == charge


async def test_charge_happens_once(provider: Provider) -> None:
    """The same order again is the same charge, in the state that it has by then."""
    asked, first = await charged(provider, "confirm")
    assert await provider.payments.charge(asked) == first
    await provider.confirm(first, success=True)
    again = await provider.payments.charge(asked)
    assert (again.provider_id, again.state) == (first.provider_id, S.SUCCEEDED)


async def test_twins_make_one_charge(provider: Provider) -> None:
    """Asked twice at once, as by who pays and by our own worker, both are told of the one charge."""
    for outcome in ("ok", "confirm", "declined"):
        asked = await order(provider, outcome)
        first, second = await asyncio.gather(*(provider.payments.charge(asked) for _ in range(2)))
        assert first == second == await found(provider, asked)


async def test_declined_charge_happens_once(provider: Provider) -> None:
    """A declined order again is the same failed charge."""
    asked, first = await charged(provider, "declined")
    assert await provider.payments.charge(asked) == first


@pytest.mark.parametrize(("success", "state"), [(True, S.SUCCEEDED), (False, S.DECLINED)])
async def test_payer_confirms(provider: Provider, success: bool, state: ProviderState) -> None:
    """What the payer says to their bank decides a charge, and the secret is of no more use."""
    asked, charge = await charged(provider, "confirm")
    await provider.confirm(charge, success)
    after = await found(provider, asked)
    assert (after.state, after.client_secret, bool(after.failure)) == (state, "", not success)


async def test_slow_charge_is_decided(provider: Provider) -> None:
    """A charge that is under way succeeds at last."""
    asked, _ = await charged(provider, "slow")
    await provider.decided(asked.charge_id)
    for _ in range(100):
        if (await found(provider, asked)).state is not S.PENDING:
            break
        await asyncio.sleep(0.05)
    assert (await found(provider, asked)).state is S.SUCCEEDED


@pytest.mark.parametrize("outcome", ["confirm", "declined"])
async def test_cancelled_charge_never_succeeds(provider: Provider, outcome: str) -> None:
    """What waits for its payer, or for another method of theirs, is over once it is cancelled, whatever they do."""
    asked, charge = await charged(provider, outcome)
    cancelled = await provider.payments.cancel(charge.provider_id)
    assert (cancelled.provider_id, cancelled.state, cancelled.client_secret) == (charge.provider_id, S.FAILED, "")
    await provider.confirm(charge, success=True)
    assert await found(provider, asked) == await provider.payments.charge(asked) == cancelled


async def test_cancel_twice_is_the_same(provider: Provider) -> None:
    """A cancel again, also of which no answer came, is the same."""
    _, charge = await charged(provider, "confirm")
    await provider.cut()
    with pytest.raises(Unavailable):
        await provider.payments.cancel(charge.provider_id)
    twice = [await provider.payments.cancel(charge.provider_id) for _ in range(2)]
    assert (twice[0], twice[0].state) == (twice[1], S.FAILED)


@pytest.mark.parametrize(("outcome", "state"), [("ok", S.SUCCEEDED), ("slow", S.PENDING)])
async def test_cancel_that_is_too_late_tells_so(provider: Provider, outcome: str, state: ProviderState) -> None:
    """What has succeeded, or is at the bank already, is not cancelled, and its state is told."""
    asked, charge = await charged(provider, outcome)
    assert (await provider.payments.cancel(charge.provider_id)).state is state
    assert (await found(provider, asked)).state is state


async def test_nobody_knows_what_was_never_sent(provider: Provider) -> None:
    """Of a charge or a refund that never reached the provider nothing is found."""
    asked, charge = await charged(provider)
    assert await provider.payments.find_charge(new_id("charge")) is None
    assert await provider.payments.find_refund(RefundOrder("refund_1", charge.provider_id, asked.money)) is None


async def test_effect_without_an_answer_is_found(provider: Provider) -> None:
    """When the line breaks after a charge, the charge is there, once, for who asks again."""
    asked = await order(provider)
    await provider.cut()
    with pytest.raises(Unavailable):
        await provider.payments.charge(asked)
    there = await found(provider, asked)
    assert there.state is S.SUCCEEDED
    assert await provider.payments.charge(asked) == there


async def test_method_of_nobody_is_not_charged(provider: Provider) -> None:
    """A method that was removed, or is another customer's, is not charged."""
    asked = await order(provider)
    await provider.payments.remove_method(asked.customer, asked.method)
    charge = await provider.payments.charge(asked)
    assert (charge.state, charge.provider_id, charge.failure) == (S.FAILED, "", "resource_missing")
    assert await provider.payments.find_charge(asked.charge_id) is None


async def refund(provider: Provider, charge: ProviderCharge, refund_id: str, amount: int) -> ProviderRefund:
    return await provider.payments.refund(RefundOrder(refund_id, charge.provider_id, Money(amount, "EUR")))


async def test_refunds_never_exceed_what_was_paid(provider: Provider) -> None:
    """Parts are given back until all of it is; one more cent fails."""
    _, charge = await charged(provider)
    states = [
        (await refund(provider, charge, f"refund_{i}", amount)).state for i, amount in enumerate((400, 501, 500, 1))
    ]
    assert states == [S.SUCCEEDED, S.FAILED, S.SUCCEEDED, S.FAILED]


async def test_refund_happens_once(provider: Provider) -> None:
    """The same refund again is the same, also when the line broke after it, and it is found."""
    _, charge = await charged(provider)
    await provider.cut()
    with pytest.raises(Unavailable):
        await refund(provider, charge, "refund_1", 600)
    again = await refund(provider, charge, "refund_1", 600)
    assert again.state is S.SUCCEEDED
    assert await provider.payments.find_refund(RefundOrder("refund_1", charge.provider_id, Money(600, "EUR"))) == again


async def test_journal_holds_all_money_that_moved(provider: Provider) -> None:
    """The provider's books have each capture and each refund once, and nothing that failed or waits."""
    since = datetime.now(UTC) - timedelta(minutes=1)
    (_, first), (_, second) = [await charged(provider) for _ in range(2)]
    for outcome in ("declined", "confirm"):
        await charged(provider, outcome)
    returned = await refund(provider, first, "refund_1", 300)
    await refund(provider, first, "refund_2", 601)
    moved = [(first.provider_id, 900), (second.provider_id, 900), (returned.provider_id, -300)]
    assert all(since <= one.time <= datetime.now(UTC) for one in await provider.payments.journal(since))
    found = [(one.provider_id, one.money) for one in await provider.payments.journal(since)]
    assert sorted(found, key=str) == sorted(((one, Money(amount, "EUR")) for one, amount in moved), key=str)
