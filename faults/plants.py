"""Bugs that the checker must find: each replaces one function in one service's process, in runs of the harness alone.

Nothing that runs a service for real knows of this module: a run with a plant starts the service through it.
"""

from __future__ import annotations

import asyncio
import runpy
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Plant:
    """A bug in the process of `workload`, which breaks `law` (a name of faults.checker)."""

    workload: str
    law: str
    sow: Callable[[], None]


def skip_the_inbox() -> None:
    """A consumer makes effects without noting the event, so that it makes them again whenever it comes."""
    from infra.events.consumer import Consumer

    async def effect(self: Any, event: Any, before: int | None) -> None:
        await self._handlers.handle(event)

    Consumer._effect = effect  # type: ignore[method-assign]


def mark_before_publish() -> None:
    """The relay notes events as published, and publishes them afterwards, if it lives."""
    from infra.events import relay
    from infra.events.statements import outbox as sql

    async def publish(self: Any, jetstream: Any) -> bool:
        async with self._database.transaction() as connection:
            rows = await relay._rows(sql.claim(connection, types=self._types, batch=64, lane=16))
            previous = await self._previous(connection, rows)
            ids = [row["event_id"] for row in rows]
            await sql.mark(connection, event_ids=ids, stream_seqs=[0] * len(ids))
        if rows:
            await asyncio.sleep(0.3)
            await self._publish_lanes(jetstream, relay._lanes(rows), previous)
        return False

    relay.Relay.publish = publish  # type: ignore[method-assign]


def acknowledge_before_the_effect() -> None:
    """A consumer tells the broker that an event is done, and does it afterwards, if it lives."""
    from infra.events.consumer import Consumer

    take = Consumer.take

    async def early(self: Any, message: Any) -> None:
        await message.ack()
        await asyncio.sleep(1.5)
        message._ackd = False
        await take(self, message)

    Consumer.take = early  # type: ignore[method-assign]


def refresh_without_rotation() -> None:
    """A refresh token is good for as long as its session, however often it is used."""
    from services.auth.domain.entities import SESSION_IDLE
    from services.auth.domain.errors import BadRefreshToken
    from services.auth.domain.refresh import RefreshToken
    from services.auth.domain.sessions import Sessions

    async def refresh(self: Any, text: str) -> Any:
        token, now = RefreshToken.opened(text, self.key), self.now()
        signed_in = await self.store.living(token.session_id, now, now - SESSION_IDLE)
        if signed_in is None:
            raise BadRefreshToken
        return await self._issued(signed_in, token)

    Sessions.refresh = refresh  # type: ignore[method-assign]


def charge_without_key() -> None:
    """Each attempt at a charge is a new one to the provider, which is not asked what became of the last."""
    from services.billing.payments import StripePayments

    def again(self: Any, order: Any) -> Any:
        return self._api.payment_intents.create_async(
            {
                "amount": order.money.amount,
                "currency": order.money.currency.lower(),
                "customer": order.customer,
                "payment_method": order.method,
                "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
                "metadata": {"charge_id": order.charge_id},
                "confirm": True,
            }
        )

    async def blind(self: Any, charge_id: str) -> None:
        return None

    StripePayments._create = again  # type: ignore[method-assign]
    StripePayments.find_charge = blind  # type: ignore[method-assign]


PLANTS: Mapping[str, Plant] = {
    "skip-the-inbox": Plant("users", "events-arrive", skip_the_inbox),
    "mark-before-publish": Plant("auth", "events-arrive", mark_before_publish),
    "acknowledge-before-the-effect": Plant("users", "events-arrive", acknowledge_before_the_effect),
    "charge-without-key": Plant("billing", "money-is-true", charge_without_key),
    "refresh-without-rotation": Plant("auth", "sessions-end", refresh_without_rotation),
}


def main() -> None:
    """`python -m faults.plants PLANT MODULE`: run a service's module with the bug in it."""
    PLANTS[sys.argv[1]].sow()
    module = sys.argv[2]
    sys.argv = [module]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
