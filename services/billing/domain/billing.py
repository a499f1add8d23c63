"""All use cases of billing, put together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from services.billing.domain.asking import Asking
from services.billing.domain.charging import Charges, Refunds
from services.billing.domain.corrections import Corrections
from services.billing.domain.details import Details
from services.billing.domain.dunning import Dunning
from services.billing.domain.invoicing import Invoicing
from services.billing.domain.lifecycle import Lifecycle
from services.billing.domain.methods import Methods
from services.billing.domain.ports import Payments
from services.billing.domain.reading import Reading
from services.billing.domain.renewal import Renewal
from services.billing.domain.storage import Store
from services.billing.domain.subscriptions import Subscriptions


@dataclass(frozen=True, slots=True)
class Billing:
    """What callers, webhooks, reminders and workers use."""

    store: Store
    reading: Reading
    subscriptions: Subscriptions
    methods: Methods
    details: Details
    charges: Charges
    refunds: Refunds
    asking: Asking
    corrections: Corrections
    renewal: Renewal
    dunning: Dunning

    @classmethod
    def of(cls, store: Store, payments: Payments, now: Callable[[], datetime]) -> Self:
        """Billing over this store and this provider."""
        lifecycle = Lifecycle(store, now)
        invoicing = Invoicing(store, lifecycle, now)
        renewal = Renewal(store, invoicing, lifecycle, now)
        charges, refunds = Charges(store, payments, invoicing, now), Refunds(store, payments, invoicing, now)
        return cls(
            store,
            Reading(store),
            Subscriptions(store, invoicing, lifecycle, renewal, now),
            Methods(store, payments),
            Details(store),
            charges,
            refunds,
            Asking(store, charges, refunds, now),
            Corrections(store, invoicing, now),
            renewal,
            Dunning(store, invoicing, lifecycle, renewal, now),
        )
