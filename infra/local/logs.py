"""The processes' logs, read as one: each program has its own way of telling the time."""

from __future__ import annotations

import heapq
import re
import time
from calendar import month_abbr
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

_MONTHS = {name: f"{number:02}" for number, name in enumerate(month_abbr)}
_JSON = re.compile(r'"time": ?(\d+\.\d+)')
_DATED = re.compile(r"(?P<year>\d{4})[-/](?P<month>\d\d)[-/](?P<day>\d\d)[ T](?P<time>\d\d:\d\d:\d\d(\.\d{3,6})?)")
_NAMED = re.compile(r"(?P<day>\d\d) (?P<month>[A-Z][a-z]{2}) (?P<year>\d{4}) (?P<time>\d\d:\d\d:\d\d(\.\d{3,6})?)")
_HEAD = 80
"""Characters of a line in which its time stands, unless it is JSON."""


@dataclass(frozen=True, slots=True, order=True)
class Line:
    """A line of a log. `when`: Unix time; that of the line before where it has none of its own."""

    when: float
    name: str
    text: str


def when(text: str) -> float | None:
    """The time that a line tells (Unix time): services' JSON, PostgreSQL, Envoy, NATS or Valkey; all in UTC."""
    if text.startswith("{"):
        found = _JSON.search(text)
        return float(found[1]) if found else None
    found = _DATED.search(text[:_HEAD]) or _NAMED.search(text[:_HEAD])
    if found is None:
        return None
    month = _MONTHS.get(found["month"], found["month"])
    try:
        return datetime.fromisoformat(f"{found['year']}-{month}-{found['day']}T{found['time']}+00:00").timestamp()
    except ValueError:
        return None


class Log:
    """One file, read from the end and then as it grows. A line that is not finished yet waits."""

    def __init__(self, file: Path) -> None:
        self.name = file.stem
        self._file = file
        self._position = 0
        self._when = 0.0

    def tail(self, count: int) -> list[Line]:
        """The last lines that there are."""
        return self._lines(deque(self._read(), maxlen=count))

    def more(self) -> list[Line]:
        """What has come since. A log that was cut goes on from its new end."""
        size = self._file.stat().st_size
        if size < self._position:
            self._position = size
        return self._lines(self._read())

    def _read(self) -> Iterator[bytes]:
        with self._file.open("rb") as file:
            file.seek(self._position)
            for line in file:
                if line.endswith(b"\n"):
                    self._position += len(line)
                    yield line

    def _lines(self, found: Iterable[bytes]) -> list[Line]:
        return [self._line(raw.decode(errors="replace").rstrip("\r\n")) for raw in found]

    def _line(self, text: str) -> Line:
        self._when = max(self._when, when(text) or 0.0)
        return Line(self._when, self.name, text)


def merged(parts: Iterable[list[Line]]) -> Iterator[Line]:
    """Lines of several logs in the order of their times; those of one log stay in its order."""
    return heapq.merge(*parts, key=lambda line: line.when)


def follow(logs: list[Log], every: float = 0.2) -> Iterator[Line]:
    """What the logs get from now on, for ever."""
    while True:
        yield from merged([log.more() for log in logs])
        time.sleep(every)
