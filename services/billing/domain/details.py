"""Who an organisation is on its invoices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from mesh.model import Caller
from services.billing.domain.entities import Customer
from services.billing.domain.storage import Store


class Details:
    """The use cases, of whoever is signed in, for their organisation."""

    def __init__(self, store: Store) -> None:
        self.store = store

    async def get(self, caller: Caller) -> Customer:
        """The organisation as a customer."""
        return await self.change(caller, {})

    async def change(self, caller: Caller, values: Mapping[str, Any]) -> Customer:
        """Have these values of `name`, `address` and `tax_id` on the next invoices."""

        async def changed() -> Customer:
            old = await self.store.lock(caller.signed_in.organisation_id)
            new = replace(old, **values)
            if new != old:
                await self.store.put_customer(new)
            return new

        return await self.store.run(changed)
