"""Payment methods: kept by the provider alone; we know which one is charged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from mesh.model import Caller
from services.billing.domain.entities import Customer
from services.billing.domain.errors import PaymentMethodInUse, PaymentMethodNotFound
from services.billing.domain.ports import Payments, ProviderMethod
from services.billing.domain.storage import Store


class Methods:
    """The use cases, of whoever is signed in, for their organisation."""

    def __init__(self, store: Store, payments: Payments) -> None:
        self.store = store
        self.payments = payments

    async def save(self, caller: Caller, token: str) -> ProviderMethod:
        """Keep what the token of a client stands for, and charge it from now on.

        Raises: UnknownPaymentToken; PaymentMethodDeclined.
        """
        saved = await self.payments.save_method(await self._customer(caller), token)
        await self._charge(caller, saved.method)
        return saved

    async def list(self, caller: Caller) -> tuple[Sequence[ProviderMethod], str]:
        """What was saved, and which of it is charged."""
        customer = await self._read(caller)
        return await self.payments.methods(customer.provider_id) if customer.provider_id else (), customer.method

    async def remove(self, caller: Caller, method: str) -> None:
        """Forget one. Raises: PaymentMethodNotFound; PaymentMethodInUse if it is charged for something live."""
        if method not in {one.method for one in (await self.list(caller))[0]}:
            raise PaymentMethodNotFound
        await self.payments.remove_method(await self._released(caller, method), method)

    async def _released(self, caller: Caller, method: str) -> str:
        """The customer at the provider, who is not charged by this method any more."""

        async def released() -> str:
            customer = await self.store.lock(caller.signed_in.organisation_id)
            if customer.method == method:
                if await self.store.has_live_subscription(customer.organisation_id):
                    raise PaymentMethodInUse
                await self.store.put_customer(replace(customer, method=""))
            return customer.provider_id

        return await self.store.run(released)

    async def _charge(self, caller: Caller, method: str) -> None:
        async def charged() -> None:
            customer = await self.store.lock(caller.signed_in.organisation_id)
            await self.store.put_customer(replace(customer, method=method))

        await self.store.run(charged)

    async def _customer(self, caller: Caller) -> str:
        """The organisation's id at the provider, made if need be; of two made at once the first one stays."""
        if known := (await self._read(caller)).provider_id:
            return known
        made = await self.payments.customer(caller.signed_in.organisation_id)

        async def kept() -> str:
            customer = await self.store.lock(caller.signed_in.organisation_id)
            if not customer.provider_id:
                await self.store.put_customer(replace(customer, provider_id=made))
            return customer.provider_id or made

        return await self.store.run(kept)

    async def _read(self, caller: Caller) -> Customer:
        async def read() -> Customer:
            return await self.store.lock(caller.signed_in.organisation_id)

        return await self.store.run(read)
