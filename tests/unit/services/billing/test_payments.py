"""Charges, dunning, refunds and credit notes: money moves once, whatever happens."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest
import stripe
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh.model import AlreadyExists, FailedPrecondition, Invalid, NotFound, Unavailable
from services.billing.domain import asking, charging, errors
from services.billing.domain.asking import AGAIN, CHECK_EVERY, LEASE
from services.billing.domain.entities import InvoiceState, PaymentState, Refund, Subscription, SubscriptionState
from services.billing.domain.events import InvoiceDue, PaymentFailed
from services.billing.domain.ledger import Account
from services.billing.domain.ports import ProviderCharge, ProviderMethod, ProviderState
from services.billing.domain.reconciliation import Reconciliation
from services.billing.payments import _method
from tests.unit.services.billing.world import ADA, BOB, World

S = SubscriptionState
TOTAL = 1071
"""Of one seat for one month, with tax."""


async def test_a_charge_is_committed_before_it_is_sent(world: World) -> None:
    """When the provider hears of a charge it is in the store, so that a crash in between loses nothing."""
    await world.card()
    await world.start()
    assert [charge.state for charge in world.charges] == [PaymentState.CREATED]
    assert world.payments.charged == {}


@pytest.mark.parametrize("cuts", [1, 5])
async def test_a_lost_answer_charges_once(world: World, cuts: int) -> None:
    """A charge whose answer is lost is found again at the provider, and is captured and posted once."""
    await world.card()
    subscription_id = await world.start()
    world.payments.cuts = cuts
    with pytest.raises(Unavailable):
        await world.billing.charges.settle(world.charges[0].charge_id)
    await world.pass_time(minutes=1)
    assert world.subscription(subscription_id).state is S.ACTIVE
    assert (world.payments.holds("EUR"), await world.holds(Account.CLEARING)) == (TOTAL, TOTAL)


async def test_settling_again_changes_nothing(world: World) -> None:
    """However often webhooks and reminders come, a charge has one effect."""
    await world.subscribed()
    before = (world.announced, dict(world.store.transfers))
    for _ in range(3):
        await world.billing.charges.settle(world.charges[0].charge_id)
    assert (world.announced, dict(world.store.transfers)) == before


async def test_a_payer_confirms(world: World) -> None:
    """A charge that needs its payer tells them with what, waits, and is captured when they have confirmed."""
    await world.card("confirm")
    subscription_id = await world.start()
    invoice = world.invoices[0]
    _, settled = await world.billing.charges.pay(ADA, invoice.invoice_id)
    assert settled
    assert (settled.charge.state, settled.client_secret) == (
        PaymentState.ACTION_NEEDED,
        f"secret_{settled.charge.charge_id}",
    )
    world.payments.decide(settled.charge.charge_id, ProviderState.SUCCEEDED)
    paid, again = await world.billing.charges.pay(ADA, invoice.invoice_id)
    assert again
    assert (paid.state, again.client_secret, len(world.charges)) == (InvoiceState.PAID, "", 1)
    assert world.subscription(subscription_id).state is S.ACTIVE
    assert (await world.billing.charges.pay(ADA, invoice.invoice_id)) == (paid, None)


async def test_who_is_not_decided_is_asked_about_each_hour(world: World) -> None:
    """However often a charge is looked at in between; once it is decided, nobody asks any more."""
    await world.card("slow")
    await world.start()
    await world.pass_time()
    charge_id = world.charges[0].charge_id
    for _ in range(5):
        await world.billing.charges.settle(charge_id)
    assert world.store.questions == {charge_id: world.now + CHECK_EVERY}
    world.payments.decide(charge_id, ProviderState.SUCCEEDED)
    await world.pass_time(hours=1)
    assert (world.store.questions, world.charges[0].state) == ({}, PaymentState.SUCCEEDED)


async def test_a_provider_that_is_away_is_asked_again_soon(world: World) -> None:
    """Nothing is held open meanwhile, and the payment is made when it is back."""
    await world.card()
    world.payments.cuts = 3
    await world.start()
    with pytest.raises(Unavailable):
        await world.billing.asking.ask_next()
    assert not await world.billing.asking.ask_next()
    assert list(world.store.questions.values()) == [world.now + AGAIN]
    await world.pass_time(minutes=1)
    assert world.invoices[0].state is InvoiceState.PAID


async def test_whoever_pays_is_not_in_the_way_of_the_worker(world: World) -> None:
    """They ask the provider themselves, and have a moment for it; a payment that they lose is made all the same."""
    await world.card("declined")
    await world.start()
    await world.pass_time(minutes=1)
    await world.card()
    world.payments.cuts = 1
    with pytest.raises(Unavailable):
        await world.billing.charges.pay(ADA, world.invoices[0].invoice_id)
    assert not await world.billing.asking.ask_next()
    await world.pass_time(seconds=5)
    assert world.invoices[0].state is InvoiceState.PAID


async def test_whoever_dies_while_asking_is_followed_by_another(world: World) -> None:
    """Their claim holds for LEASE; then the same question is asked by whoever comes."""
    await world.card()
    await world.start()
    until = world.now + LEASE
    claimed = await world.store.claim_question(world.now, until)
    assert claimed
    assert claimed.object_id == world.charges[0].charge_id
    assert not await world.billing.asking.ask_next()
    world.now = until
    assert await world.billing.asking.ask_next()
    assert world.invoices[0].state is InvoiceState.PAID


async def test_a_question_that_breaks_holds_up_no_other(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """What nobody foresaw is told and asked again an hour later; the others are answered."""
    for caller in (ADA, BOB):
        await world.card(caller=caller)
        await world.start(caller=caller)
    find, broken = world.payments.find_charge, min(world.store.questions)

    async def breaks(charge_id: str) -> ProviderCharge | None:
        if charge_id == broken:
            raise TypeError
        return await find(charge_id)

    monkeypatch.setattr(world.payments, "find_charge", breaks)
    with pytest.raises(TypeError):
        await world.billing.asking.ask_next()
    assert await world.billing.asking.ask_next()
    assert not await world.billing.asking.ask_next()
    assert world.store.questions == {broken: world.now + CHECK_EVERY}


async def test_a_provider_that_hangs_is_left(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A question has its time; then the next one has its turn."""
    await world.card()
    await world.start()

    async def hang(charge_id: str) -> None:
        await asyncio.sleep(3600)

    monkeypatch.setattr(world.payments, "find_charge", hang)
    monkeypatch.setattr(asking, "WITHIN", timedelta(milliseconds=10))
    with pytest.raises(Unavailable):
        await world.billing.asking.ask_next()
    assert list(world.store.questions.values()) == [world.now + AGAIN]


async def test_what_was_sent_at_the_last_moment_is_found(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The provider's search may be an hour behind: so long a charge whose answer was lost does not count as unsent."""
    await world.card()
    await world.start()
    world.now += charging.SEND_WITHIN - timedelta(seconds=1)
    find, shown = world.payments.find_charge, world.now + timedelta(hours=1)

    async def behind(charge_id: str) -> ProviderCharge | None:
        return await find(charge_id) if world.now >= shown else None

    monkeypatch.setattr(world.payments, "find_charge", behind)
    world.payments.cuts = 1
    await world.pass_time(days=2)
    assert (len(world.charges), world.charges[0].state) == (1, PaymentState.SUCCEEDED)
    assert world.payments.holds("EUR") == await world.holds(Account.CLEARING) == TOTAL
    await world.check()


async def test_who_confirms_too_late_pays_nothing(world: World) -> None:
    """A charge that was given up is cancelled at the provider: its payer cannot confirm it any more, and pays anew."""
    await world.subscribed()
    await world.card("confirm")
    await world.pass_time(days=29, hours=12)
    late = world.charges[-1]
    assert (late.state, late.failure) == (PaymentState.FAILED, "not confirmed in time")
    world.payments.decide(late.charge_id, ProviderState.SUCCEEDED)
    await world.billing.charges.settle(late.charge_id)
    assert world.invoices[-1].state is InvoiceState.OPEN
    await world.card()
    await world.billing.charges.pay(ADA, world.invoices[-1].invoice_id)
    assert world.payments.holds("EUR") == await world.holds(Account.CLEARING) == 2 * TOTAL
    await world.check()


async def test_declined_charge_is_over(world: World) -> None:
    """A method that was refused cannot be made good behind our back: what failed here is over at the provider."""
    await world.card("declined")
    await world.start()
    await world.pass_time(minutes=1)
    assert (world.charges[0].state, world.charges[0].failure) == (PaymentState.FAILED, "card_declined")
    world.payments.decide(world.charges[0].charge_id, ProviderState.SUCCEEDED)
    assert world.payments.holds("EUR") == 0


async def waits_for_its_payer(world: World) -> str:
    """Somebody has left the prompt of their bank, and saved another card; the id of what is to be paid."""
    await world.card("confirm")
    await world.start()
    await world.pass_time(minutes=1)
    await world.card()
    return world.invoices[0].invoice_id


async def test_another_card_pays_what_waits_for_its_payer(world: World) -> None:
    """Whoever leaves the prompt of their bank pays with another card at once; nobody is told of a failure."""
    invoice_id = await waits_for_its_payer(world)
    invoice, settled = await world.billing.charges.pay(ADA, invoice_id)
    assert settled and settled.charge == world.charges[-1]
    assert [charge.state for charge in world.charges] == [PaymentState.FAILED, PaymentState.SUCCEEDED]
    assert (invoice.state, "PaymentFailed" in world.announced) == (InvoiceState.PAID, False)
    world.payments.decide(world.charges[0].charge_id, ProviderState.SUCCEEDED)
    await world.pass_time(days=2)
    assert world.payments.holds("EUR") == TOTAL
    await world.check()


async def test_another_card_pays_what_was_refused_in_the_prompt(world: World) -> None:
    """So does whoever fails at the prompt, before we have heard of it."""
    invoice_id = await waits_for_its_payer(world)
    world.payments.decide(world.charges[0].charge_id, ProviderState.DECLINED)
    invoice, _ = await world.billing.charges.pay(ADA, invoice_id)
    assert (invoice.state, len(world.charges)) == (InvoiceState.PAID, 2)


async def test_reminder_leaves_the_prompt_to_its_payer(world: World) -> None:
    """Another card alone cancels nothing: only whoever pays with it does."""
    await waits_for_its_payer(world)
    await world.pass_time(hours=2)
    assert [charge.state for charge in world.charges] == [PaymentState.ACTION_NEEDED]


async def test_confirmed_at_the_last_moment(world: World) -> None:
    """A payer who confirms while another card takes over has paid, and the other card is not charged."""
    invoice_id, cancel = await waits_for_its_payer(world), world.payments.cancel

    async def too_late(provider_id: str) -> ProviderCharge:
        world.payments.decide(world.charges[0].charge_id, ProviderState.SUCCEEDED)
        return await cancel(provider_id)

    world.payments.cancel = too_late  # type: ignore[method-assign]
    invoice, settled = await world.billing.charges.pay(ADA, invoice_id)
    assert settled and settled.charge.state is PaymentState.SUCCEEDED
    assert (invoice.state, len(world.charges), world.payments.holds("EUR")) == (InvoiceState.PAID, 1, TOTAL)
    await world.check()


async def test_lost_answer_to_a_cancel(world: World) -> None:
    """A cancel whose answer is lost is found at the next try, and until it is known nothing else is charged."""
    invoice_id = await waits_for_its_payer(world)
    world.payments.cuts = 1
    with pytest.raises(Unavailable):
        await world.billing.charges.pay(ADA, invoice_id)
    assert [charge.live for charge in world.charges] == [True]
    invoice, _ = await world.billing.charges.pay(ADA, invoice_id)
    assert (invoice.state, len(world.charges)) == (InvoiceState.PAID, 2)
    await world.check()


async def test_what_is_void_is_not_charged(world: World) -> None:
    """A charge that was not sent when its invoice became void is never sent, and has failed when that is certain."""
    await world.card()
    await world.billing.subscriptions.cancel(ADA, await world.start(), at_once=True)
    assert world.invoices[0].state is InvoiceState.VOID
    await world.pass_time(days=1)
    assert (world.payments.charged, world.charges[0].state) == ({}, PaymentState.FAILED)
    await world.check()


async def test_what_was_sent_for_a_void_invoice_is_cancelled(world: World) -> None:
    """So is one that waits for its payer, at once."""
    await world.card("confirm")
    subscription_id = await world.start()
    await world.pass_time(minutes=1)
    await world.billing.subscriptions.cancel(ADA, subscription_id, at_once=True)
    await world.pass_time(seconds=1)
    assert [made.state for _, made in world.payments.charged.values()] == [ProviderState.FAILED]
    assert (world.charges[0].state, world.charges[0].failure) == (PaymentState.FAILED, "not owed any more")


async def test_what_is_credited_whole_is_not_charged(world: World) -> None:
    """A charge of an invoice that a credit note pays is cancelled."""
    await world.subscribed()
    await world.card("confirm")
    await world.pass_time(days=28)
    await world.billing.corrections.credit(ADA, world.invoices[-1].invoice_id, TOTAL, "")
    await world.pass_time(seconds=1)
    assert (world.invoices[-1].state, world.charges[-1].state) == (InvoiceState.PAID, PaymentState.FAILED)
    await world.check()


async def test_late_money_is_given_back(world: World) -> None:
    """What is at the bank cannot be cancelled: if it comes for an invoice that is void, it is given back."""
    await world.card("slow")
    subscription_id = await world.start()
    await world.pass_time(minutes=1)
    await world.billing.subscriptions.cancel(ADA, subscription_id, at_once=True)
    await world.pass_time(minutes=1)
    world.payments.decide(world.charges[0].charge_id, ProviderState.SUCCEEDED)
    await world.pass_time(hours=2)
    assert world.charges[0].state is PaymentState.SUCCEEDED
    assert world.payments.holds("EUR") == await world.holds(Account.CLEARING) == await world.holds(Account.CREDIT) == 0
    await world.check()


async def test_dunning(world: World) -> None:
    """A renewal that fails is tried again after 1, 3 and 5 days, and given up with its subscription 7 days later."""
    subscription_id = await world.subscribed()
    await world.card("declined")
    await world.pass_time(days=28)
    began = world.charges[-1].create_time
    assert world.subscription(subscription_id).state is S.PAST_DUE
    await world.pass_time(days=15, hours=23)
    assert [(charge.create_time - began).days for charge in world.charges[1:]] == [0, 1, 4, 9]
    assert world.subscription(subscription_id).state is S.PAST_DUE
    await world.pass_time(hours=2)
    assert world.subscription(subscription_id).state is S.ENDED
    assert world.invoices[-1].state is InvoiceState.UNCOLLECTIBLE
    assert await world.holds(Account.BAD_DEBT) == TOTAL
    told = [event.next_attempt_time for _, event in world.store.events if isinstance(event, PaymentFailed)]
    assert [at - began if at else None for at in told] == [*(timedelta(days=days) for days in (1, 4, 9)), None]
    assert world.announced[-1] == "SubscriptionCancelled"
    await world.check()


@pytest.mark.parametrize("behind", [0.001, 299.0])
async def test_a_clock_that_is_behind_ends_no_dunning(world: World, behind: float) -> None:
    """A reminder that comes a little too early for whoever gets it is followed by another one, once."""
    await world.subscribed()
    await world.card("declined")
    await world.pass_time(days=28)
    await world.remind_early(InvoiceDue, seconds=behind)
    assert len(world.charges) == 2
    await world.pass_time(minutes=15)
    assert (len(world.charges), len(world.store.reminders)) == (3, 2)
    await world.check()


async def test_dunning_ends_with_a_payment(world: World) -> None:
    """Another card and a click, or the next attempt, bring a subscription back."""
    subscription_id = await world.subscribed()
    await world.card("declined")
    await world.pass_time(days=28)
    await world.billing.charges.pay(ADA, world.invoices[-1].invoice_id)
    await world.pass_time(hours=1)
    assert (len(world.charges), world.subscription(subscription_id).state) == (3, S.PAST_DUE)
    await world.card()
    await world.pass_time(days=1)
    assert (len(world.charges), world.subscription(subscription_id).state) == (4, S.ACTIVE)
    await world.pass_time(days=20)
    assert world.subscription(subscription_id).state is S.ACTIVE
    await world.check()


async def test_method_saved_meanwhile_is_kept(world: World) -> None:
    """Who removes a method while another one is saved goes on paying with the new one."""
    await world.subscribed()
    [old], _ = await world.billing.methods.list(ADA)
    listed = world.payments.methods

    async def raced(customer: str) -> Sequence[ProviderMethod]:
        world.payments.methods = listed  # type: ignore[method-assign]
        await world.card()
        return await listed(customer)

    world.payments.methods = raced  # type: ignore[method-assign]
    await world.billing.methods.remove(ADA, old.method)
    [new], charged = await world.billing.methods.list(ADA)
    assert new.method == charged != old.method


@pytest.mark.parametrize(
    ("kind", "details", "shown"),
    [
        ("card", {"brand": "visa", "last4": "4242"}, ("visa", "4242")),
        ("sepa_debit", {"last4": "3000"}, ("sepa_debit", "3000")),
        ("paypal", {"payer_email": None}, ("paypal", "")),
        ("link", {"last4": None}, ("link", "")),
        ("cashapp", None, ("cashapp", "")),
    ],
)
def test_methods_without_digits(kind: str, details: object, shown: tuple[str, str]) -> None:
    """A method that is no card is one all the same, whatever the provider says of it."""
    values = {"id": "pm_1", "object": "payment_method", "type": kind} | ({kind: details} if details else {})
    found = _method(stripe.PaymentMethod.construct_from(values, "sk_test_1"))
    assert (found.method, found.brand, found.last4) == ("pm_1", *shown)


async def test_without_a_method_nothing_is_charged(world: World) -> None:
    """A trial that ends without a payment method is dunned like a card that fails."""
    subscription_id = await world.start(trial=True)
    await world.pass_time(days=14)
    assert (world.subscription(subscription_id).state, world.charges) == (S.PAST_DUE, [])
    with pytest.raises(errors.PaymentMethodMissing):
        await world.billing.charges.pay(ADA, world.invoices[0].invoice_id)
    await world.pass_time(days=20)
    assert world.subscription(subscription_id).state is S.ENDED


async def test_what_cannot_be_paid(world: World) -> None:
    """Only an open invoice of your own can be paid."""
    await world.card("declined")
    await world.start()
    invoice_id = world.invoices[0].invoice_id
    with pytest.raises(errors.InvoiceNotFound):
        await world.billing.charges.pay(BOB, invoice_id)
    await world.pass_time(days=2)
    with pytest.raises(errors.InvoiceNotOpen):
        await world.billing.charges.pay(ADA, invoice_id)


async def test_a_refund_has_its_credit_note(world: World) -> None:
    """What is given back is earned no more, nor owed to the tax office."""
    await world.subscribed()
    invoice_id = world.invoices[0].invoice_id
    await world.billing.corrections.refund(ADA, invoice_id, 71, "one day without service")
    await world.billing.corrections.refund(ADA, invoice_id, None, "all of it")
    await world.pass_time()
    assert world.payments.holds("EUR") == 0
    assert {note.number for note in await world.store.credit_notes(invoice_id)} == {"EX-C-000001", "EX-C-000002"}
    for account in (Account.REVENUE, Account.TAX, Account.CLEARING, Account.REFUNDS, Account.CREDIT):
        assert await world.holds(account) == 0


async def test_a_refund_never_exceeds_what_was_paid(world: World) -> None:
    """More than what is left of the payment is refused, naming the field; nothing left is nothing to refund."""
    await world.subscribed()
    refund, invoice_id = world.billing.corrections.refund, world.invoices[0].invoice_id
    with pytest.raises(errors.RefundTooLarge) as raised:
        await refund(ADA, invoice_id, TOTAL + 1, "")
    assert raised.value.violations[0].field == "amount_minor"
    await refund(ADA, invoice_id, 1000, "")
    with pytest.raises(errors.RefundTooLarge):
        await refund(ADA, invoice_id, TOTAL - 999, "")
    await refund(ADA, invoice_id, TOTAL - 1000, "")
    for amount in (None, 1):
        with pytest.raises(errors.RefundTooLarge):
            await refund(ADA, invoice_id, amount, "")


@pytest.mark.parametrize("amount", [0, -5])
async def test_nothing_is_no_refund(world: World, amount: int) -> None:
    """Nothing, or less, is never given back, and moves no money."""
    await world.subscribed()
    with pytest.raises(errors.RefundTooLarge) as raised:
        await world.billing.corrections.refund(ADA, world.invoices[0].invoice_id, amount, "")
    assert raised.value.violations[0].field == "amount_minor"
    await world.pass_time(minutes=1)
    assert world.payments.holds("EUR") == TOTAL


async def test_a_refund_that_fails_becomes_credit(world: World) -> None:
    """What the provider cannot give back is taken off the next invoice."""
    await world.subscribed()
    world.payments.refunds_fail = True
    await world.billing.corrections.refund(ADA, world.invoices[0].invoice_id, 71, "")
    await world.pass_time()
    assert [refund.state for refund in world.store.of(Refund)] == [PaymentState.FAILED]
    assert await world.holds(Account.CREDIT) == -71
    await world.pass_time(days=28)
    assert (world.invoices[-1].credited, world.charges[-1].amount) == (71, 1000)
    assert await world.holds(Account.CREDIT) == 0
    await world.check()


async def test_a_refund_that_comes_back_becomes_credit(world: World) -> None:
    """What a bank sends back after it was given back is credit again, once, and the books agree with the provider's."""
    await world.subscribed()
    refund = await world.billing.corrections.refund(ADA, world.invoices[0].invoice_id, 71, "")
    await world.pass_time(minutes=1)
    world.payments.send_back(refund.refund_id)
    for _ in range(2):
        assert (await world.billing.refunds.settle(refund.refund_id)).state is PaymentState.FAILED
    assert await world.holds(Account.CREDIT) == -71
    assert await world.holds(Account.CLEARING) == world.payments.holds("EUR") == TOTAL
    [done] = await Reconciliation(world.store, world.payments, lambda: world.now + timedelta(days=1)).run()
    assert (done.compared, done.drifts) == (3, ())
    await world.check()


async def test_credit_that_pays_a_whole_invoice(world: World) -> None:
    """A credit note on a paid invoice is credit for the next one; what it pays whole is not charged."""
    await world.subscribed()
    await world.billing.corrections.credit(ADA, world.invoices[0].invoice_id, TOTAL, "a month for nothing")
    await world.pass_time(days=28)
    assert (world.invoices[-1].state, len(world.charges)) == (InvoiceState.PAID, 1)
    with pytest.raises(errors.CreditTooLarge):
        await world.billing.corrections.credit(ADA, world.invoices[0].invoice_id, 1, "")
    await world.check()


async def test_a_credit_note_makes_less_due(world: World) -> None:
    """On an open invoice a credit note is taken off what is due; all of it, and nothing is."""
    await world.subscribed()
    await world.card("declined")
    await world.pass_time(days=28)
    invoice_id = world.invoices[-1].invoice_id
    await world.billing.corrections.credit(ADA, invoice_id, 71, "")
    assert world.invoices[-1].due == 1000
    await world.check()
    await world.billing.corrections.credit(ADA, invoice_id, 1000, "")
    assert world.invoices[-1].state is InvoiceState.PAID
    await world.check()


async def test_what_is_credited_while_it_is_paid_is_given_back(world: World) -> None:
    """A charge that brings more than is due by then gives the rest back."""
    await world.subscribed()
    await world.card("slow")
    await world.pass_time(days=28)
    await world.billing.corrections.credit(ADA, world.invoices[-1].invoice_id, 71, "")
    world.payments.decide(world.charges[-1].charge_id, ProviderState.SUCCEEDED)
    await world.pass_time(hours=1)
    assert world.payments.holds("EUR") == TOTAL + 1000
    await world.check()


async def test_voiding(world: World) -> None:
    """An open invoice is taken back with its credit notes and the credit that it used; one under way is not."""
    await world.subscribed()
    await world.billing.corrections.credit(ADA, world.invoices[0].invoice_id, 50, "")
    await world.card("slow")
    await world.pass_time(days=28)
    invoice_id = world.invoices[-1].invoice_id
    with pytest.raises(errors.PaymentUnderWay):
        await world.billing.corrections.void(ADA, invoice_id)
    world.payments.decide(world.charges[-1].charge_id, ProviderState.FAILED)
    await world.pass_time(hours=1)
    await world.billing.corrections.credit(ADA, invoice_id, 100, "")
    await world.billing.corrections.void(ADA, invoice_id)
    assert (world.invoices[-1].state, await world.holds(Account.CREDIT)) == (InvoiceState.VOID, -50)
    assert world.store.of(Subscription)[0].state is S.ACTIVE
    for attempt in (
        world.billing.corrections.void(ADA, invoice_id),
        world.billing.corrections.void(ADA, world.invoices[0].invoice_id),
    ):
        with pytest.raises(errors.InvoiceNotOpen):
            await attempt
    for credit in (
        world.billing.corrections.credit(ADA, invoice_id, 1, ""),
        world.billing.corrections.refund(ADA, invoice_id, 1, ""),
    ):
        with pytest.raises(errors.InvoiceNotFinal):
            await credit
    await world.check()


REFUSALS = (FailedPrecondition, NotFound, Invalid, AlreadyExists, Unavailable)


async def test_an_old_answer_undoes_nothing(world: World) -> None:
    """What the provider said before a charge was captured, and is heard after it, changes nothing."""
    await world.card("slow")
    await world.start()
    await world.pass_time()
    charge_id, asked = world.charges[0].charge_id, world.payments.find_charge

    async def overtaken(charge_id: str) -> ProviderCharge | None:
        said = await asked(charge_id)
        world.payments.find_charge = asked  # type: ignore[method-assign]
        world.payments.decide(charge_id, ProviderState.SUCCEEDED)
        await world.billing.charges.settle(charge_id)
        return said

    world.payments.find_charge = overtaken  # type: ignore[method-assign]
    assert (await world.billing.charges.settle(charge_id)).charge.state is PaymentState.SUCCEEDED
    assert world.invoices[0].state is InvoiceState.PAID
    await world.check()


async def test_more_credit_than_is_due_stays(world: World) -> None:
    """An invoice takes no more credit than it needs; the rest waits for the next one."""
    subscription_id = await world.subscribed(quantity=4)
    await world.billing.corrections.credit(ADA, world.invoices[0].invoice_id, 4000, "")
    await world.billing.subscriptions.cancel(ADA, subscription_id, at_once=True)
    await world.start()
    await world.pass_time()
    assert (world.invoices[-1].state, world.invoices[-1].credited) == (InvoiceState.PAID, TOTAL)
    assert await world.holds(Account.CREDIT) == TOTAL - 4000


@given(st.lists(st.integers(1, 200), max_size=30))
async def test_credit_notes_take_back_the_whole_tax(amounts: list[int]) -> None:
    """In however many parts an invoice is taken back, in the end neither revenue nor tax is left of it."""
    world = World()
    await world.subscribed()
    left = TOTAL
    for amount in [*amounts, TOTAL]:
        if amount := min(amount, left):
            await world.billing.corrections.credit(ADA, world.invoices[0].invoice_id, amount, "")
            left -= amount
    assert (await world.holds(Account.REVENUE), await world.holds(Account.TAX)) == (0, 0)


async def test_too_early_nothing_happens(world: World) -> None:
    """A reminder of an unpaid invoice that comes before its time charges nothing."""
    await world.subscribed()
    await world.card("declined")
    await world.pass_time(days=28)
    early = [event for _, event in world.store.reminders if isinstance(event, InvoiceDue)]
    for event in early:
        await world.remind(event)
    assert (len(early), len(world.charges), world.invoices[-1].attempts) == (1, 2, 1)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("wait"), st.integers(1, 40)),
        st.tuples(st.just("card"), st.sampled_from(["ok", "declined", "confirm", "slow"])),
        st.tuples(st.just("start"), st.sampled_from(["team-monthly", "team-yearly", "free", "api-calls"])),
        st.tuples(st.just("trial"), st.sampled_from(["team-monthly", "team-yearly"])),
        st.tuples(st.just("seats"), st.integers(1, 50)),
        st.tuples(st.just("plan"), st.sampled_from(["team-monthly", "team-yearly", "free"])),
        st.tuples(st.just("cancel"), st.booleans()),
        st.tuples(st.just("pay"), st.just(0)),
        st.tuples(st.just("use"), st.integers(1, 5000)),
        st.tuples(st.just("refund"), st.integers(0, 2000)),
        st.tuples(st.just("send back"), st.just(0)),
        st.tuples(st.just("credit"), st.integers(1, 2000)),
        st.tuples(st.just("void"), st.just(0)),
        st.tuples(st.just("decide"), st.sampled_from([ProviderState.SUCCEEDED, ProviderState.DECLINED])),
        st.tuples(st.just("cut"), st.integers(1, 3)),
    ),
    max_size=25,
)


@settings(max_examples=150, deadline=None)
@given(STEPS)
async def test_whatever_people_do_the_books_are_true(steps: list[tuple[str, Any]]) -> None:
    """After any life of a customer the books balance and agree with invoices and provider, and numbers have no gaps."""
    world = World()
    for verb, what in steps:
        with contextlib.suppress(*REFUSALS):
            await _step(world, verb, what)
        await world.check()
    world.payments.cuts = 0
    for charge in world.charges:
        if charge.charge_id in world.payments.charged and charge.live:
            world.payments.decide(charge.charge_id, ProviderState.SUCCEEDED)
    await world.pass_time(days=2)
    await world.check()
    late = [charge for charge in world.charges if charge.state is PaymentState.FAILED]
    for charge in late:
        await world.billing.charges.settle(charge.charge_id)
    await world.pass_time(hours=2)
    assert await world.holds(Account.CLEARING) == world.payments.holds("EUR")


async def _step(world: World, verb: str, what: Any) -> None:
    live = [one for one in world.store.of(Subscription) if one.live]
    if verb in ALONE:
        await ALONE[verb](world, what)
    elif verb in WITH_SUBSCRIPTION and live:
        await WITH_SUBSCRIPTION[verb](world, live[-1].subscription_id, what)
    elif verb in WITH_INVOICE and world.invoices:
        await WITH_INVOICE[verb](world, world.invoices[-1].invoice_id, what)


async def _decide(world: World, state: ProviderState) -> None:
    for charge_id, (_, made) in [*world.payments.charged.items()][-1:]:
        if made.state is not state:
            world.payments.decide(charge_id, state)
        await world.billing.charges.settle(charge_id)


async def _send_back(world: World, _: object) -> None:
    for refund_id in [*world.payments.refunded][-1:]:
        world.payments.send_back(refund_id)
        await world.billing.refunds.settle(refund_id)


async def _cut(world: World, times: int) -> None:
    world.payments.cuts = times


ALONE: dict[str, Callable[[World, Any], Awaitable[Any]]] = {
    "wait": lambda world, days: world.pass_time(days=days),
    "card": lambda world, token: world.card(token),
    "start": lambda world, plan_id: world.start(plan_id),
    "trial": lambda world, plan_id: world.start(plan_id, trial=True),
    "decide": _decide,
    "send back": _send_back,
    "cut": _cut,
}
WITH_SUBSCRIPTION: dict[str, Callable[[World, str, Any], Awaitable[Any]]] = {
    "seats": lambda world, named, seats: world.billing.subscriptions.change(ADA, named, "", seats),
    "plan": lambda world, named, plan_id: world.billing.subscriptions.change(ADA, named, plan_id, 0),
    "cancel": lambda world, named, at_once: world.billing.subscriptions.cancel(ADA, named, at_once),
    "use": lambda world, named, many: world.billing.subscriptions.record_usage(ADA, named, str(world.now), many),
}
WITH_INVOICE: dict[str, Callable[[World, str, Any], Awaitable[Any]]] = {
    "pay": lambda world, named, _: world.billing.charges.pay(ADA, named),
    "refund": lambda world, named, amount: world.billing.corrections.refund(ADA, named, amount or None, ""),
    "credit": lambda world, named, amount: world.billing.corrections.credit(ADA, named, amount, ""),
    "void": lambda world, named, _: world.billing.corrections.void(ADA, named),
}
