"""What is told of calls: a log line, counts, a span if sampled. Collected on the hot path, made in batches off it.

No value of a request is ever among it, so no personal data and no secret can be.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from json.encoder import encode_basestring_ascii as quoted
from typing import Any

from mesh import errors, limits, trace
from mesh.call import Call, Proceed, current
from mesh.contract import Method
from mesh.lines import encode, story
from mesh.model import DeadlineExceeded, Error, Unavailable, User

LEVELS = {"debug": 0, "info": 1, "warning": 2, "error": 3, "critical": 4}
CANCELLED = "CANCELLED"


@dataclass(slots=True)
class Count:
    """Calls of one method with one outcome."""

    calls: int = 0
    ms: float = 0.0
    longest_ms: float = 0.0

    def add(self, ms: float) -> None:
        self.calls, self.ms, self.longest_ms = self.calls + 1, self.ms + ms, max(self.longest_ms, ms)

    def told(self) -> dict[str, Any]:
        return {"calls": self.calls, "ms": round(self.ms, 1), "longest_ms": round(self.longest_ms, 1)}


@dataclass(slots=True)
class Telemetry:
    """Collects what happened and gives it to `write` as JSON lines.

    `trace_ratio`: share of new traces that are recorded. `level`: the least that is logged of calls;
    counts and spans are told whatever it is.
    """

    workload: str
    trace_ratio: float = 0.0
    write: Callable[[str], None] = print
    level: str = "info"
    counts: dict[tuple[str, str], Count] = field(default_factory=dict)
    lost: int = 0
    _done: deque[tuple[float, float, Call, BaseException | None]] = field(default_factory=deque)

    def observed(self, method: Method, proceed: Proceed) -> Proceed:
        """The step around all others: remembers how the call ended."""

        async def step(request: bytes, call: Call) -> bytes:
            started = time.perf_counter()
            try:
                answer = await proceed(request, call)
            except BaseException as told:
                self._remember(time.perf_counter() - started, current.get() or call, told)
                raise
            self._remember(time.perf_counter() - started, current.get() or call, None)
            return answer

        return step

    def _remember(self, seconds: float, call: Call, told: BaseException | None) -> None:
        if len(self._done) >= limits.LINES_KEPT:
            self._done.popleft()
            self.lost += 1
        self._done.append((time.time(), seconds, call, told))

    async def run(self) -> None:
        """Tell what has been collected, again and again until cancelled."""
        told = time.monotonic()
        try:
            while True:
                await asyncio.sleep(limits.LINES_EVERY)
                self.flush()
                if time.monotonic() - told >= limits.COUNTS_EVERY:
                    told = time.monotonic()
                    self.tell_counts()
        finally:
            self.flush()
            self.tell_counts()

    def flush(self) -> None:
        """Tell of the calls that have ended."""
        if lines := list(self._lines()):
            self.write("\n".join(lines))

    def tell_counts(self) -> None:
        """Tell how many calls ended how since the last time, and begin to count anew."""
        calls = [{"method": method, "code": code, **count.told()} for (method, code), count in self.counts.items()]
        if calls or self.lost:
            head = {"time": round(time.time(), 3), "level": "info", "event": "counts", "workload": self.workload}
            self.write(encode({**head, "lines_lost": self.lost, "calls": calls}))
        self.counts, self.lost = {}, 0

    def _lines(self) -> Iterator[str]:
        least = LEVELS[self.level]
        while self._done:
            at, seconds, call, told = self._done.popleft()
            code, ms = _code(told), seconds * 1000
            self._count((call.method.path, code), ms)
            if LEVELS[_level(told)] >= least:
                yield self._line(at, ms, call, code, told)
            if trace.sampled(call.traceparent):
                yield self._span(at, seconds, call, code)

    def _count(self, key: tuple[str, str], ms: float) -> None:
        count = self.counts.get(key)
        if count is None:
            count = self.counts[key] = Count()
        count.add(ms)

    def _line(self, at: float, ms: float, call: Call, code: str, told: BaseException | None) -> str:
        """Written by hand: one for each call, at a third of the price of a dict."""
        return (
            f'{{"time":{at:.3f},"level":"{_level(told)}","event":"call","workload":"{self.workload}",'
            f'"method":"{call.method.path}","code":{quoted(code)},"ms":{ms:.2f},"peer":"{call.peer.workload}",'
            f'"request_id":{quoted(call.request_id)},"trace_id":"{trace.trace_id(call.traceparent)}"{_whose(call.user)}{_story(told)}}}'
        )

    def _span(self, at: float, seconds: float, call: Call, code: str) -> str:
        own = call.traceparent
        span = {
            "time": round(at, 3),
            "level": "info",
            "event": "span",
            "workload": self.workload,
            "name": call.method.path,
            "trace_id": trace.trace_id(own),
            "span_id": trace.span_id(own),
            "parent_id": trace.span_id(call.metadata.get("traceparent", "")),
            "start": round(at - seconds, 6),
            "seconds": round(seconds, 6),
            "code": code,
        }
        return encode(span)


def _code(told: BaseException | None) -> str:
    if told is None:
        return "OK"
    return told.reason if isinstance(told, Error) else CANCELLED


def _level(told: BaseException | None) -> str:
    if isinstance(told, errors.Internal):
        return "error"
    return "warning" if isinstance(told, Unavailable | DeadlineExceeded) else "info"


def _whose(user: User | None) -> str:
    """For whom a call is, and by which key of theirs, as a part of a line."""
    if user is None:
        return ""
    by_key = f',"api_key_id":{quoted(user.session_id)}' if user.scopes is not None else ""
    return f',"user_id":{quoted(user.user_id)}{by_key}'


def _story(told: BaseException | None) -> str:
    """What went wrong on our side, as the rest of a line."""
    if not isinstance(told, errors.Internal) or told.__cause__ is None:
        return ""
    return "," + encode(story(told.__cause__))[1:-1]
