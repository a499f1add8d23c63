"""Webhooks on their way: signed as Stripe signs them, sent until they arrive, and in bad order if a test wants that."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import random
import time
from dataclasses import dataclass, field

import aiohttp

from infra.local.limits import (
    PAYMENTS_HOOK_BATCH,
    PAYMENTS_HOOK_FIRST,
    PAYMENTS_HOOK_LONGEST,
    PAYMENTS_HOOK_WITHIN,
)
from infra.local.payments.state import Hook, State


def signature(secret: str, body: bytes, at: int) -> str:
    """The header `Stripe-Signature` (docs.stripe.com/webhooks#verify-manually)."""
    digest = hmac.new(secret.encode(), b"%d.%s" % (at, body), hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}"


@dataclass
class Faults:
    """How bad the line is; tests set it at `/_control`, a restart makes it good again.

    `hold`: webhooks wait. `shuffle`: those that wait go in any order. `duplicate`: each is sent so many times more.
    `delay`: and so many seconds late. `cut`: so many of the next requests have their effect, and then the connection
    breaks. `stall`: so many seconds pass between an effect and its answer. `refuse`: so many of the next requests have
    no effect and get 503.
    """

    hold: bool = False
    shuffle: bool = False
    duplicate: int = 0
    delay: float = 0.0
    cut: int = 0
    stall: float = 0.0
    refuse: int = 0


@dataclass
class Sender:
    """Sends what is due."""

    state: State
    url: str
    secret: str
    faults: Faults
    woken: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """Send until cancelled."""
        timeout = aiohttp.ClientTimeout(total=PAYMENTS_HOOK_WITHIN)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            while True:
                self.woken.clear()
                if not await self._send_due(session):
                    await self._rest()

    async def _send_due(self, session: aiohttp.ClientSession) -> bool:
        hooks = [] if self.faults.hold else list(self.state.due(time.time(), PAYMENTS_HOOK_BATCH))
        if not self.faults.shuffle:
            await asyncio.gather(*(self._send(session, hook) for hook in hooks))
            return bool(hooks)
        random.shuffle(hooks)
        for hook in hooks:
            await self._send(session, hook)
        return bool(hooks)

    async def _rest(self) -> None:
        try:
            async with asyncio.timeout(PAYMENTS_HOOK_FIRST / 2):
                await self.woken.wait()
        except TimeoutError:
            pass

    async def _send(self, session: aiohttp.ClientSession, hook: Hook) -> None:
        taken = [await self._post(session, hook) for _ in range(1 + self.faults.duplicate)]
        if all(taken):
            self.state.arrived(hook)
        else:
            pause = min(PAYMENTS_HOOK_FIRST * 2 ** min(hook.tries, 16), PAYMENTS_HOOK_LONGEST)
            self.state.again(hook, time.time() + pause)

    async def _post(self, session: aiohttp.ClientSession, hook: Hook) -> bool:
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "Stripe-Signature": signature(self.secret, hook.body, int(time.time())),
        }
        try:
            async with session.post(self.url, data=hook.body, headers=headers) as answer:
                return answer.ok
        except (aiohttp.ClientError, TimeoutError):
            return False
