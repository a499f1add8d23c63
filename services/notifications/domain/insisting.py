"""What has come of an attempt is told to the store for as long as the attempt is ours: forgotten, it comes again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime

from mesh.model import Error

PAUSE = 0.5
"""Seconds between two tries."""


async def insist(tell: Callable[[], Awaitable[None]], now: datetime, until: datetime) -> None:
    """Do what may be done twice until it succeeds. Raises: what it raised last, when it is `until`."""
    loop = asyncio.get_running_loop()
    ends = loop.time() + (until - now).total_seconds()
    while True:
        try:
            return await tell()
        except Error:
            if loop.time() + PAUSE >= ends:
                raise
        await asyncio.sleep(PAUSE)
