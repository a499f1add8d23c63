"""JSON lines on standard output, written by a thread of their own: a reader that stops stops no call."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
import traceback
from collections.abc import MutableMapping
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import structlog

from mesh import limits
from mesh.redaction import redacted_values

ROOT = f"{Path(__file__).parent.parent}/"
encode = json.JSONEncoder(separators=(",", ":"), default=repr).encode


class Lines:
    """Takes whole lines from the loop and writes them to the descriptor `out`; bounded."""

    def __init__(self, out: int = 1) -> None:
        self._out = out
        self._texts: SimpleQueue[str | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._waiting = self._lost = 0
        self._thread = threading.Thread(target=self._write_all, name="lines", daemon=True)
        self._thread.start()

    def write(self, text: str) -> None:
        """Write `text`, one or more lines without the last newline."""
        with self._lock:
            if self._waiting + len(text) > limits.LOG_WAITING:
                self._lost += text.count("\n") + 1
                return
            self._waiting += len(text)
        self._texts.put(text)

    def close(self, within: float = 1.0) -> None:
        """Wait until everything is written, `within` seconds."""
        self._texts.put(None)
        self._thread.join(within)

    def _write_all(self) -> None:
        while (text := self._texts.get()) is not None:
            self._write_out(text)
            if lost := self._written(text):
                self._write_out(encode({"level": "warning", "event": "lines lost", "lines": lost}))

    def _written(self, text: str) -> int:
        """There is room again; how many lines were lost for the lack of it."""
        with self._lock:
            self._waiting -= len(text)
            lost, self._lost = self._lost, 0
        return lost

    def _write_out(self, text: str) -> None:
        data = memoryview(f"{text}\n".encode())
        with contextlib.suppress(OSError):
            while data:
                data = data[os.write(self._out, data) :]


class _Logger:
    """What structlog hands its lines to."""

    def __init__(self, lines: Lines) -> None:
        self.debug = self.info = self.warning = self.error = self.critical = self.exception = lines.write


def configure(level: str, lines: Lines) -> None:
    """Let structlog write to `lines`. Values of requests never get there, nor messages of exceptions."""
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(level),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt=None, key="time"),
            _exceptions,
            redacted_values,
            lambda logger, name, event: encode(event),
        ],
        logger_factory=lambda *_: _Logger(lines),
    )


def story(error: BaseException) -> dict[str, Any]:
    """The type of an error, where it was raised, and what caused it; not its message, which may quote a request."""
    told: dict[str, Any] = {"error": type(error).__qualname__, "where": _where(error)}
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if cause is not None:
        told["cause"] = type(cause).__qualname__
        told["cause_where"] = _where(cause)
    if isinstance(error, BaseExceptionGroup):
        told["parts"] = [story(part) for part in error.exceptions[:3]]
    return told


def _where(error: BaseException) -> list[str]:
    frames = traceback.extract_tb(error.__traceback__)[-8:]
    return [f"{frame.filename.removeprefix(ROOT)}:{frame.lineno} {frame.name}" for frame in frames]


def _exceptions(logger: Any, name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    given = event.pop("exc_info", None)
    error = given if isinstance(given, BaseException) else sys.exc_info()[1] if given else None
    return {**event, **story(error)} if error is not None else event
