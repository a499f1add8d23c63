"""A process's background work, started again with back-off when it fails."""

from __future__ import annotations

import asyncio
import random

import structlog

from mesh import limits
from mesh.app import Worker

FIRST_PAUSE = 0.1

log = structlog.get_logger()


async def kept_alive(worker: Worker) -> None:
    """Run `worker` until cancelled; when it ends or fails, again after a pause that grows while it keeps failing."""
    loop, pause = asyncio.get_running_loop(), FIRST_PAUSE
    while True:
        started = loop.time()
        await _once(worker)
        if loop.time() - started > limits.WORKER_PAUSE_LONGEST:
            pause = FIRST_PAUSE
        await asyncio.sleep(pause * random.uniform(0.5, 1.5))
        pause = min(limits.WORKER_PAUSE_LONGEST, pause * 2)


async def _once(worker: Worker) -> None:
    name = getattr(worker, "__qualname__", type(worker).__qualname__)
    try:
        await worker()
        log.warning("worker ended", worker=name)
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        # Something inside was cancelled, not we.
        log.error("worker failed", worker=name, exc_info=error)
    except Exception as error:
        log.error("worker failed", worker=name, exc_info=error)
