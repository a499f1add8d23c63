"""What keeps work on the bus going."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import structlog

from infra.events.bus import Bus

TRIES = 1100
"""More than an hour of failures in a row, at the longest pause."""


async def test_work_that_fails_for_an_hour_is_tried_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """However often it failed, the next pause has a length."""
    bus, tries, enough = Bus("", "users", ""), 0, asyncio.Event()
    connected: Any = object()
    bus._client = connected
    at_once = asyncio.sleep

    async def work(client: object) -> None:
        nonlocal tries
        tries += 1
        if tries == TRIES:
            enough.set()
        raise ConnectionError

    async def sleep(seconds: float) -> None:
        await at_once(0)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    with structlog.testing.capture_logs():
        kept, reached = asyncio.create_task(bus.while_connected(work)), asyncio.create_task(enough.wait())
        await asyncio.wait({kept, reached}, return_when=asyncio.FIRST_COMPLETED)
    assert not kept.done(), tries
    kept.cancel()
