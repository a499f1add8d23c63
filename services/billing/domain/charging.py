"""Charges and refunds: what is asked of the provider, and how its answer takes effect exactly once.

Each is committed before the provider hears of it, under an id that is also its idempotency key there. From then
on nobody is believed but the provider itself, asked anew: `settle` reads what became of a charge and applies it.
That makes webhooks, our own questions and people who click twice the same thing, in any order and number.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from mesh.model import Caller
from services.billing.domain import posting
from services.billing.domain.entities import LIVE, Charge, Invoice, InvoiceState, PaymentState, Refund
from services.billing.domain.errors import (
    ChargeNotFound,
    InvoiceNotOpen,
    PaymentMethodMissing,
    RefundNotFound,
)
from services.billing.domain.invoicing import Invoicing
from services.billing.domain.money import Money
from services.billing.domain.ports import (
    ChargeOrder,
    Payments,
    ProviderCharge,
    ProviderRefund,
    ProviderState,
    RefundOrder,
)
from services.billing.domain.reading import Reading
from services.billing.domain.storage import Store

SEND_WITHIN = timedelta(hours=20)
"""A charge that the provider has not seen by then is not sent any more: it forgets idempotency keys after a day."""
SHOWN_WITHIN = timedelta(hours=2)
"""What was sent is found by then: the provider's search may be an hour behind."""
ACTION_WITHIN = timedelta(days=1)
"""How long a payer may take to confirm a charge at their bank."""

PAYER_FIRST = timedelta(seconds=5)
"""Whoever is there to pay asks the provider themselves; if they fail, we do."""

UNDECIDED = frozenset({ProviderState.PENDING, ProviderState.ACTION_NEEDED, ProviderState.DECLINED})
"""What may yet succeed at the provider."""
STATES = {
    ProviderState.PENDING: PaymentState.PENDING,
    ProviderState.ACTION_NEEDED: PaymentState.ACTION_NEEDED,
    # It is cancelled first, and failed only then.
    ProviderState.DECLINED: PaymentState.PENDING,
    ProviderState.SUCCEEDED: PaymentState.SUCCEEDED,
    ProviderState.FAILED: PaymentState.FAILED,
}
REFUND_POSTS = {
    (True, PaymentState.SUCCEEDED): posting.refund_done,
    (True, PaymentState.FAILED): posting.refund_failed,
    (False, PaymentState.FAILED): posting.refund_returned,
}
"""By whether a refund was still under way, and what the provider says of it now."""
BILLING = Caller("billing")


@dataclass(frozen=True, slots=True)
class Settled:
    """A charge as it is now; `client_secret` is what its payer confirms it with, if they must."""

    charge: Charge
    client_secret: str = ""


class Charges:
    """The use cases of charges."""

    def __init__(self, store: Store, payments: Payments, invoicing: Invoicing, now: Callable[[], datetime]) -> None:
        self.store = store
        self.payments = payments
        self.invoicing = invoicing
        self.reading = Reading(store)
        self.now = now

    async def pay(self, caller: Caller, invoice_id: str) -> tuple[Invoice, Settled | None]:
        """Have an invoice of the caller's organisation paid now; of one that is paid nothing comes.

        An attempt that is under way is looked at. One that still needs its payer, by a method that is not the
        present one any more, makes way for another one.

        Raises: InvoiceNotFound; InvoiceNotOpen; PaymentMethodMissing.
        """
        charge = await self.store.run(lambda: self._begun(caller, invoice_id))
        settled = await self.settle(charge.charge_id, caller, by_payer=True) if charge else None
        if settled and settled.charge.state is PaymentState.FAILED and await self._outdated(settled.charge):
            charge = await self.store.run(lambda: self._begun(caller, invoice_id))
            settled = await self.settle(charge.charge_id, caller) if charge else settled
        return await self.reading.invoice(caller, invoice_id), settled

    async def _begun(self, caller: Caller, invoice_id: str) -> Charge | None:
        customer = await self.store.lock(caller.signed_in.organisation_id)
        invoice = await self.reading.invoice(caller, invoice_id)
        if invoice.state is InvoiceState.PAID:
            return None
        if invoice.state is not InvoiceState.OPEN:
            raise InvoiceNotOpen
        if charge := await self.invoicing.live_charge(invoice):
            return charge
        if not customer.method:
            raise PaymentMethodMissing
        return await self.invoicing.attempt(caller, invoice, customer, PAYER_FIRST)

    async def settle(self, charge_id: str, caller: Caller = BILLING, by_payer: bool = False) -> Settled:
        """Read what the provider says of a charge now, after sending it if need be, and apply it once.

        One that is not wanted any more is not sent, and cancelled at the provider before it counts as failed here:
        whoever pays again never pays twice. `by_payer`: they are here, to pay with their present method.

        Raises: ChargeNotFound; Unavailable if the provider cannot be asked.
        """
        charge = await self._get(charge_id)
        if charge.state is PaymentState.SUCCEEDED:
            return Settled(charge)
        found = await self._ask(charge)
        if found is None:
            return Settled(await self._not_found(caller, charge))
        if found.state in UNDECIDED and (why := await self._unwanted(charge, found, by_payer)):
            found = await self._cancelled(found, why)
        charge = await self._apply(caller, charge_id, found, by_payer)
        return Settled(charge, found.client_secret if charge.state is PaymentState.ACTION_NEEDED else "")

    async def _ask(self, charge: Charge) -> ProviderCharge | None:
        found = await self.payments.find_charge(charge.charge_id)
        if found is None and self._sendable(charge) and await self._owed(charge):
            found = await self.payments.charge(await self._order(charge))
        return found

    async def _not_found(self, caller: Caller, charge: Charge) -> Charge:
        """What was sent may not be found for a while: what is not sent any more has failed when that is certain."""
        if charge.live and self.now() - charge.create_time < SEND_WITHIN + SHOWN_WITHIN:
            return charge
        return await self._apply(caller, charge.charge_id, ProviderCharge("", ProviderState.FAILED, "", "never sent"))

    async def _unwanted(self, charge: Charge, found: ProviderCharge, by_payer: bool) -> str:
        """Why a charge that may yet succeed must not; empty if it may."""
        if found.state is ProviderState.DECLINED or not charge.live:
            return found.failure or charge.failure or "declined"
        if not await self._owed(charge):
            return "not owed any more"
        if found.state is not ProviderState.ACTION_NEEDED:
            return ""
        if self.now() - charge.create_time >= ACTION_WITHIN:
            return "not confirmed in time"
        return "paid otherwise" if by_payer and await self._outdated(charge) else ""

    async def _cancelled(self, found: ProviderCharge, why: str) -> ProviderCharge:
        now = await self.payments.cancel(found.provider_id)
        return replace(now, failure=why) if now.state is ProviderState.FAILED else now

    def _sendable(self, charge: Charge) -> bool:
        return charge.live and self.now() - charge.create_time < SEND_WITHIN

    async def _owed(self, charge: Charge) -> bool:
        return (await self.invoicing.get(charge.invoice_id)).state is InvoiceState.OPEN

    async def _outdated(self, charge: Charge) -> bool:
        """Whether its organisation pays with another method now."""
        return (await self.store.customer(charge.organisation_id)).method not in ("", charge.method)

    async def _order(self, charge: Charge) -> ChargeOrder:
        invoice = await self.invoicing.get(charge.invoice_id)
        return ChargeOrder(
            charge_id=charge.charge_id,
            customer=(await self.store.customer(charge.organisation_id)).provider_id,
            method=charge.method,
            money=Money(charge.amount, charge.currency),
            description=invoice.number,
        )

    async def _apply(self, caller: Caller, charge_id: str, found: ProviderCharge, by_payer: bool = False) -> Charge:
        async def applied() -> Charge:
            await self.store.lock((await self._get(charge_id)).organisation_id)
            old, state = await self._get(charge_id), STATES[found.state]
            if not _leads(old.state, state):
                return old
            new = replace(old, state=state, provider_id=found.provider_id or old.provider_id, failure=found.failure)
            await self.store.put_charge(new)
            await self._react(caller, new, by_payer)
            return new

        return await self.store.run(applied)

    async def _react(self, caller: Caller, charge: Charge, by_payer: bool) -> None:
        invoice = await self.invoicing.get(charge.invoice_id)
        if charge.state is PaymentState.SUCCEEDED:
            await self.invoicing.captured(caller, charge)
        elif charge.state is PaymentState.FAILED and by_payer and invoice.due and await self._outdated(charge):
            # At once, so that no crash leaves an invoice without its next attempt.
            customer = await self.store.customer(charge.organisation_id)
            await self.invoicing.attempt(caller, invoice, customer, PAYER_FIRST)
        elif charge.state is PaymentState.FAILED:
            await self.invoicing.failed(caller, invoice)

    async def _get(self, charge_id: str) -> Charge:
        if (found := await self.store.charge(charge_id)) is None:
            raise ChargeNotFound
        return found


class Refunds:
    """The use cases of refunds that are under way."""

    def __init__(self, store: Store, payments: Payments, invoicing: Invoicing, now: Callable[[], datetime]) -> None:
        self.store = store
        self.payments = payments
        self.invoicing = invoicing
        self.now = now

    async def settle(self, refund_id: str) -> Refund:
        """As for charges; a bank may send back what was given back long ago.

        Raises: RefundNotFound; Unavailable if the provider cannot be asked.
        """
        refund = await self._get(refund_id)
        if refund.state is PaymentState.FAILED:
            return refund
        order = await self._order(refund)
        found = await self.payments.find_refund(order)
        if found is None and refund.state in LIVE:
            found = await self.payments.refund(order)
        return await self._apply(refund_id, found) if found else refund

    async def _order(self, refund: Refund) -> RefundOrder:
        charge = await self.store.charge(refund.charge_id)
        assert charge is not None
        return RefundOrder(refund.refund_id, charge.provider_id, Money(refund.amount, refund.currency))

    async def _apply(self, refund_id: str, found: ProviderRefund) -> Refund:
        async def applied() -> Refund:
            await self.store.lock((await self._get(refund_id)).organisation_id)
            old, state = await self._get(refund_id), STATES[found.state]
            post = REFUND_POSTS.get((old.state in LIVE, state))
            if old.state is state or not (post or old.state in LIVE):
                return old
            new = replace(old, state=state, provider_id=found.provider_id, failure=found.failure)
            await self.store.put_refund(new)
            if post and (transfer := post(new, self.now())):
                await self.store.post(transfer)
            return new

        return await self.store.run(applied)

    async def _get(self, refund_id: str) -> Refund:
        if (found := await self.store.refund(refund_id)) is None:
            raise RefundNotFound
        return found


def _leads(old: PaymentState, new: PaymentState) -> bool:
    """Whether the provider's `new` is news. Captured money stays captured; what failed may yet succeed."""
    return old is not new and (old in LIVE or new is PaymentState.SUCCEEDED)
