"""Ending tasks for certain.

In Python 3.11 `asyncio.wait_for`, which clients of boxes use, can lose a cancellation when what it waits
for comes at the same moment; the task then goes on as if nobody had asked it to stop. Who ends a task
therefore asks until it has ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from infra.limits import CANCEL_AGAIN


async def ended(*tasks: asyncio.Future[Any]) -> None:
    """Cancel `tasks` until all have ended, whatever becomes of them.

    Cancelled itself meanwhile, it ends them all the same, and is cancelled then.
    """
    cancelled: asyncio.CancelledError | None = None
    while running := [task for task in tasks if not task.done()]:
        for task in running:
            task.cancel()
        try:
            await asyncio.wait(running, timeout=CANCEL_AGAIN)
        except asyncio.CancelledError as error:
            cancelled = error
    for task in tasks:
        if not task.cancelled():
            task.exception()  # has been looked at
    if cancelled is not None:
        raise cancelled


async def together(*works: Coroutine[Any, Any, None]) -> None:
    """Run all at once until all are done; when one fails the others are ended. Raises: what the first raised.

    As asyncio.TaskGroup does, but for tasks that lose a cancellation: a group asks each only once.
    """
    tasks = [asyncio.create_task(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()
    finally:
        await ended(*tasks)
