"""What the stand-in keeps, in SQLite: a request's effect, answer and webhooks are committed at once or not at all."""

from __future__ import annotations

import json
import pickle
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.local.limits import PAYMENTS_ANSWER_KEEP, PAYMENTS_HOOK_KEEP

FILE = "payments.db"
TABLES = """
CREATE TABLE IF NOT EXISTS objects (one INTEGER PRIMARY KEY CHECK (one = 1), pickled BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS answers (
    key TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, status INTEGER NOT NULL, body BLOB NOT NULL, at REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS journal (seq INTEGER PRIMARY KEY AUTOINCREMENT, line TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS hooks (
    event_id TEXT PRIMARY KEY, body BLOB NOT NULL, tries INTEGER NOT NULL, due REAL NOT NULL, born REAL NOT NULL
);
"""


@dataclass(frozen=True, slots=True)
class Answer:
    """What was answered to a request with an idempotency key."""

    key: str
    fingerprint: str
    status: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Hook:
    """A webhook that has not arrived yet."""

    event_id: str
    body: bytes
    tries: int
    born: float


class State:
    """All of it. The objects are localstripe's own, pickled whole: they refer to each other."""

    def __init__(self, folder: Path) -> None:
        self._database = sqlite3.connect(folder / FILE)
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.executescript(TABLES)

    def objects(self) -> Mapping[str, Any]:
        """What was saved last."""
        row = self._database.execute("SELECT pickled FROM objects").fetchone()
        return dict(pickle.loads(row[0])) if row else {}  # noqa: S301 (written by ourselves, in a private folder)

    def save(
        self,
        objects: Mapping[str, Any],
        now: float,
        *,
        answer: Answer | None = None,
        lines: Sequence[Mapping[str, object]] = (),
        hooks: Sequence[tuple[str, bytes, float]] = (),
    ) -> None:
        """Commit an effect: the objects after it, what is answered and journalled, webhooks with when they are due."""
        with self._database as database:
            database.execute("INSERT OR REPLACE INTO objects VALUES (1, ?)", (pickle.dumps(dict(objects)),))
            if answer:
                row = (answer.key, answer.fingerprint, answer.status, answer.body, now)
                database.execute("INSERT INTO answers VALUES (?, ?, ?, ?, ?)", row)
            database.executemany("INSERT INTO journal (line) VALUES (?)", ((json.dumps(line),) for line in lines))
            database.executemany("INSERT INTO hooks VALUES (?, ?, 0, ?, ?)", ((*hook, now) for hook in hooks))

    def answer(self, key: str, now: float) -> Answer | None:
        """What was answered to it within the last day."""
        with self._database as database:
            database.execute("DELETE FROM answers WHERE at < ?", (now - PAYMENTS_ANSWER_KEEP,))
        query = "SELECT key, fingerprint, status, body FROM answers WHERE key = ?"
        row = self._database.execute(query, (key,)).fetchone()
        return Answer(*row) if row else None

    def due(self, now: float, limit: int) -> Sequence[Hook]:
        """Webhooks whose time has come, the oldest first."""
        query = "SELECT event_id, body, tries, born FROM hooks WHERE due <= ? ORDER BY due LIMIT ?"
        return [Hook(*row) for row in self._database.execute(query, (now, limit))]

    def waiting(self) -> int:
        """How many webhooks have not arrived."""
        return int(self._database.execute("SELECT count(*) FROM hooks").fetchone()[0])

    def arrived(self, hook: Hook) -> None:
        """Forget it."""
        with self._database as database:
            database.execute("DELETE FROM hooks WHERE event_id = ?", (hook.event_id,))

    def again(self, hook: Hook, due: float) -> None:
        """Send it again then, unless it is too old for that."""
        if due - hook.born > PAYMENTS_HOOK_KEEP:
            self.arrived(hook)
            return
        with self._database as database:
            query = "UPDATE hooks SET tries = tries + 1, due = ? WHERE event_id = ?"
            database.execute(query, (due, hook.event_id))

    def close(self) -> None:
        """Close the file."""
        self._database.close()


def journal(folder: Path) -> Iterator[Mapping[str, Any]]:
    """Everything that moved money or tried to, in order, read from the folder of a server that may run or not."""
    database = sqlite3.connect(f"file:{folder / FILE}?mode=ro", uri=True)
    try:
        for (line,) in database.execute("SELECT line FROM journal ORDER BY seq"):
            yield json.loads(line)
    finally:
        database.close()
