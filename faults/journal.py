"""What people did and were told: each operation with its times by their own clock."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

NO_ANSWER = 0
"""The status of an operation whose answer was lost: it may have happened."""


@dataclass(frozen=True, slots=True)
class Operation:
    """`method`: the RPC's path, `status`: HTTP, or NO_ANSWER. Times are seconds since the run began."""

    person: str
    method: str
    begin: float
    end: float
    status: int
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def acknowledged(self) -> bool:
        """Whether the person was told that it happened."""
        return 200 <= self.status < 300

    @property
    def possible(self) -> bool:
        """Whether it may have happened: nobody said that it did not."""
        return self.acknowledged or self.status == NO_ANSWER or self.status >= 500


class Journal:
    """Written line by line, so that a run that is cut short is still told."""

    def __init__(self, file: Path) -> None:
        self.operations: list[Operation] = []
        self.secrets: set[str] = set()
        self.began = time.monotonic()
        self._file = file.open("w")

    def now(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self.began

    def note(self, operation: Operation) -> None:
        """Keep an operation that has ended."""
        self.operations.append(operation)
        self._file.write(json.dumps(asdict(operation)) + "\n")
        self._file.flush()

    def secret(self, text: str) -> str:
        """Remember what must stand in no log; returns it."""
        self.secrets.add(text)
        return text
