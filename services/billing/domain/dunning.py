"""Dunning: what happens to an invoice that is not paid."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from mesh.model import Caller
from services.billing.domain.entities import Customer, Invoice, InvoiceState, SubscriptionState
from services.billing.domain.invoicing import RETRIES, Invoicing
from services.billing.domain.lifecycle import CLOCKS_DIFFER, Lifecycle
from services.billing.domain.renewal import Renewal
from services.billing.domain.storage import Store

WAIT_FOR_CHARGE = timedelta(hours=1)
"""An invoice is not given up while a charge of it is under way."""


class Dunning:
    """What happens to an open invoice by itself."""

    def __init__(
        self,
        store: Store,
        invoicing: Invoicing,
        lifecycle: Lifecycle,
        renewal: Renewal,
        now: Callable[[], datetime],
    ) -> None:
        self.store = store
        self.invoicing = invoicing
        self.lifecycle = lifecycle
        self.renewal = renewal
        self.now = now

    async def due(self, caller: Caller, invoice_id: str) -> None:
        """Charge an invoice again or give it up, if that is due; again nothing happens, a little early it waits."""

        async def done() -> None:
            customer = await self.store.lock((await self.invoicing.get(invoice_id)).organisation_id)
            invoice = await self.invoicing.get(invoice_id)
            at = invoice.next_attempt_time
            if invoice.state is not InvoiceState.OPEN or at is None:
                return
            if at <= self.now():
                await self._step(caller, customer, invoice)
            elif self.lifecycle.reminded_early(at):
                await self.invoicing.wake(caller, invoice, at + CLOCKS_DIFFER)

        await self.store.run(done)

    async def _step(self, caller: Caller, customer: Customer, invoice: Invoice) -> None:
        subscription = await self.lifecycle.get(invoice.subscription_id)
        if await self.invoicing.live_charge(invoice):
            await self.invoicing.schedule(caller, invoice, self.now() + WAIT_FOR_CHARGE)
        elif subscription.state is SubscriptionState.INCOMPLETE:
            await self.invoicing.void(caller, invoice)
            await self.lifecycle.waived(caller, subscription.subscription_id)
        elif invoice.attempts > len(RETRIES):
            await self.invoicing.write_off(caller, invoice)
            if subscription.live:
                await self.renewal.finish(caller, customer, subscription)
        else:
            await self._retry(caller, customer, invoice)

    async def _retry(self, caller: Caller, customer: Customer, invoice: Invoice) -> None:
        invoice = await self.invoicing.schedule(caller, invoice, None)
        if customer.method:
            await self.invoicing.attempt(caller, invoice, customer)
        else:
            await self.invoicing.failed(caller, invoice)
