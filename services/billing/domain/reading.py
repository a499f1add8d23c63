"""What people look up of their own organisation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from mesh.model import Caller
from services.billing.domain.entities import CreditNote, Entity, Invoice, Subscription, SubscriptionState
from services.billing.domain.errors import InvoiceIsDraft, InvoiceNotFound
from services.billing.domain.storage import Store

DEFAULT_PAGE = 50
LARGEST_PAGE = 200

T = TypeVar("T")
_UNPAID = (SubscriptionState.INCOMPLETE, SubscriptionState.PAST_DUE)


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some of an organisation's, oldest first; `after` asks for the next page, empty on the last."""

    found: Sequence[T]
    after: str


class Reading:
    """The use cases."""

    def __init__(self, store: Store) -> None:
        self.store = store

    async def subscriptions(self, caller: Caller, after: str, size: int) -> Page[Subscription]:
        """A page of at most `size` (0: the usual size)."""
        size = min(size or DEFAULT_PAGE, LARGEST_PAGE)
        found = await self.store.subscriptions(caller.signed_in.organisation_id, after, size + 1)
        return Page(found[:size], found[size - 1].subscription_id if len(found) > size else "")

    async def invoices(self, caller: Caller, after: str, size: int) -> Page[Invoice]:
        """A page of at most `size` (0: the usual size)."""
        size = min(size or DEFAULT_PAGE, LARGEST_PAGE)
        found = await self.store.invoices(caller.signed_in.organisation_id, after, size + 1)
        return Page(found[:size], found[size - 1].invoice_id if len(found) > size else "")

    async def open_invoice_id(self, subscription: Subscription) -> str:
        """The oldest invoice that waits for its payment; empty if none does."""
        if subscription.state not in _UNPAID:
            return ""
        return next((one.invoice_id for one in await self.store.open_invoices(subscription.subscription_id)), "")

    async def invoice(self, caller: Caller, invoice_id: str) -> Invoice:
        """One of the caller's organisation. Raises: InvoiceNotFound."""
        found = await self.store.invoice(invoice_id)
        if found is None or found.organisation_id != caller.signed_in.organisation_id:
            raise InvoiceNotFound
        return found

    async def paper(self, caller: Caller, invoice_id: str) -> tuple[Invoice, Entity]:
        """One of the caller's organisation and who sells, to be printed. Raises: InvoiceNotFound; InvoiceIsDraft."""
        invoice = await self.invoice(caller, invoice_id)
        if not invoice.number:
            raise InvoiceIsDraft
        return invoice, await self.store.entity(invoice.entity_id)

    async def credit_notes(self, caller: Caller, invoice_id: str) -> Sequence[CreditNote]:
        """Of an invoice of the caller's organisation. Raises: InvoiceNotFound."""
        return await self.store.credit_notes((await self.invoice(caller, invoice_id)).invoice_id)
