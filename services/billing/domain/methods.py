"""Payment methods: kept by the provider alone; we know which one is charged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from mesh.model import Caller
from services.billing.domain.errors import PaymentMethodInUse, PaymentMethodNotFound
from services.billing.domain.ports import Payments, ProviderMethod
from services.billing.domain.storage import Store


class Methods:
    """The use cases, of whoever is signed in, for their organisation."""

    def __init__(self, store: Store, payments: Payments) -> None:
        self.store = store
        self.payments = payments

    async def save(self, caller: Caller, token: str) -> ProviderMethod:
        """Keep what the token of a client stands for, and charge it from now on."""
        organisation_id = caller.signed_in.organisation_id
        saved = await self.payments.save_method(await self.payments.customer(organisation_id), token)
        await self._charge(caller, saved.method)
        return saved

    async def list(self, caller: Caller) -> tuple[Sequence[ProviderMethod], str]:
        """What was saved, and which of it is charged."""
        customer = await self.payments.customer(caller.signed_in.organisation_id)
        return await self.payments.methods(customer), await self._charged(caller)

    async def remove(self, caller: Caller, method: str) -> None:
        """Forget one. Raises: PaymentMethodNotFound; PaymentMethodInUse if it is charged for something live."""
        customer = await self.payments.customer(caller.signed_in.organisation_id)
        if method not in {one.method for one in await self.payments.methods(customer)}:
            raise PaymentMethodNotFound
        if method == await self._charged(caller):
            await self._release(caller)
        await self.payments.remove_method(customer, method)

    async def _release(self, caller: Caller) -> None:
        async def released() -> None:
            customer = await self.store.lock(caller.signed_in.organisation_id)
            found = await self.store.subscriptions(customer.organisation_id, "", 1000)
            if any(one.live for one in found):
                raise PaymentMethodInUse
            await self.store.put_customer(replace(customer, method=""))

        await self.store.run(released)

    async def _charge(self, caller: Caller, method: str) -> None:
        async def charged() -> None:
            customer = await self.store.lock(caller.signed_in.organisation_id)
            await self.store.put_customer(replace(customer, method=method))

        await self.store.run(charged)

    async def _charged(self, caller: Caller) -> str:
        async def read() -> str:
            return (await self.store.lock(caller.signed_in.organisation_id)).method

        return await self.store.run(read)
