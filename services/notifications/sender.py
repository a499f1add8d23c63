"""The worker that sends what is due."""

from __future__ import annotations

import asyncio
import random

import structlog

from infra.lanes import Lanes
from mesh.model import Error
from mesh.tasks import together
from services.notifications.domain.sending import Sending
from services.notifications.limits import DELIVERY_LEASE, SENDER_POLL, SENDERS

log = structlog.get_logger(__name__)


class Sender:
    """Sends until cancelled, SENDERS at once. Several processes may run one each."""

    def __init__(self, sending: Sending) -> None:
        self._sending = sending
        self._lanes = Lanes("sending", sending.send_next, SENDERS, SENDER_POLL)
        self.wake = self._lanes.wake

    async def run(self) -> None:
        """Send, and give up what must not be repeated, until cancelled."""
        await together(self._sweep(), self._lanes.run())

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(DELIVERY_LEASE * random.uniform(0.5, 1))
            try:
                lost = await self._sending.sweep()
            except Error as error:
                log.warning("sweep_failed", exc_info=error)
            else:
                if lost:
                    log.warning("deliveries_lost", count=lost)
