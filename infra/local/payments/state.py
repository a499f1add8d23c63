"""What the stand-in keeps, in SQLite: a request's effect, answer and webhooks are committed at once or not at all."""

from __future__ import annotations

import io
import json
import pickle
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.local.limits import PAYMENTS_ANSWER_KEEP, PAYMENTS_HOOK_KEEP

FILE = "payments.db"
TABLES = """
CREATE TABLE IF NOT EXISTS things (key TEXT PRIMARY KEY, pickled BLOB NOT NULL);
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


class _Pickler(pickle.Pickler):
    """Pickles one object; others that it refers to are named."""

    def __init__(self, file: io.BytesIO, key: str, things: Mapping[str, Any]) -> None:
        super().__init__(file, protocol=pickle.HIGHEST_PROTOCOL)
        self._key, self._things = key, things

    def persistent_id(self, thing: Any) -> str | None:
        key = f"{getattr(thing, 'object', '')}:{getattr(thing, 'id', '')}"
        return key if key != self._key and key in self._things and self._things[key] is thing else None


class _Unpickler(pickle.Unpickler):
    """Finds by name what an object refers to."""

    def __init__(self, pickled: bytes, things: Mapping[str, Any]) -> None:
        super().__init__(io.BytesIO(pickled))
        self._things = things

    def persistent_load(self, key: str) -> Any:
        return self._things[key]


class _Things(dict[str, Any]):
    """Objects by their keys, unpickled when they are asked for, each once."""

    def __init__(self, pickled: Mapping[str, bytes]) -> None:
        super().__init__()
        self.pickled = pickled

    def __missing__(self, key: str) -> Any:
        # They were written by ourselves, in a private folder.
        self[key] = _Unpickler(self.pickled[key], self).load()
        return self[key]


class State:
    """All of it. The objects are localstripe's own, each pickled by itself when a request has touched it."""

    def __init__(self, folder: Path) -> None:
        self._database = sqlite3.connect(folder / FILE)
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.executescript(TABLES)

    def objects(self) -> Mapping[str, Any]:
        """What was saved last."""
        things = _Things(dict(self._database.execute("SELECT key, pickled FROM things ORDER BY rowid")))
        return {key: things[key] for key in things.pickled}

    def save(
        self,
        objects: Mapping[str, Any],
        touched: Iterable[str],
        now: float,
        *,
        answer: Answer | None = None,
        lines: Sequence[Mapping[str, object]] = (),
        hooks: Sequence[tuple[str, bytes, float]] = (),
    ) -> None:
        """Commit an effect: the objects that it touched, what is answered and journalled, webhooks and when."""
        there = [(key, _pickled(key, objects)) for key in touched if key in objects]
        gone = [(key,) for key in touched if key not in objects]
        with self._database as database:
            query = "INSERT INTO things VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET pickled = excluded.pickled"
            database.executemany(query, there)
            database.executemany("DELETE FROM things WHERE key = ?", gone)
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


def _pickled(key: str, objects: Mapping[str, Any]) -> bytes:
    file = io.BytesIO()
    _Pickler(file, key, objects).dump(objects[key])
    return file.getvalue()


def journal(folder: Path) -> Iterator[Mapping[str, Any]]:
    """Everything that moved money or tried to, in order, read from the folder of a server that may run or not."""
    database = sqlite3.connect(f"file:{folder / FILE}?mode=ro", uri=True)
    try:
        for (line,) in database.execute("SELECT line FROM journal ORDER BY seq"):
            yield json.loads(line)
    finally:
        database.close()
