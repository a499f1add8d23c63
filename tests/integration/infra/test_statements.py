"""Every statement of events and idempotency against a migrated database."""

from __future__ import annotations

import asyncpg
import pytest

from infra import idempotency
from infra.events.statements import inbox, outbox
from infra.postgres import Database

FILES = {"outbox": outbox, "inbox": inbox, "idempotency": idempotency.sql}
STATEMENTS = [
    pytest.param(getattr(queries, name).sql, id=f"{file}.{name}")
    for file, queries in FILES.items()
    for name in queries.available_queries
    if not name.endswith("_cursor")
]


@pytest.mark.parametrize("statement", STATEMENTS)
async def test_the_database_understands_it(database: Database, statement: str) -> None:
    """PostgreSQL prepares the statement: its tables, columns and types exist."""
    async with database.connection() as connection:
        assert await connection.prepare(statement)


@pytest.mark.parametrize(
    ("statement", "arguments"),
    [
        (outbox.claim.sql, (["t"], 10, 10)),
        (outbox.previous.sql, (["t"], ["r"], ["a"], [5])),
        (outbox.mark.sql, (["e"], [1])),
        (outbox.forget_lost.sql, (1, 10)),
        (outbox.next_timer.sql, (["t"],)),
        (outbox.unpublished.sql, ()),
        (inbox.receive.sql, ("e", "s", "r", "a", 1, 0)),
        (inbox.next_due.sql, ()),
        (inbox.next_untried.sql, ()),
        (inbox.next_behind.sql, ("a", "r", "s")),
    ],
)
async def test_the_hot_statements_use_indexes(
    database: Database, statement: str, arguments: tuple[object, ...]
) -> None:
    """However much is kept, none of them reads a whole table."""
    async with database.transaction() as connection:
        await connection.execute("SET LOCAL enable_seqscan = off")
        plan = "\n".join(row[0] for row in await connection.fetch(f"EXPLAIN {statement}", *arguments))
    assert "Seq Scan" not in plan, plan


async def test_a_place_in_a_history_is_taken_once(database: Database) -> None:
    """Two events cannot claim the same place; timers take none."""
    insert = (
        "INSERT INTO outbox SELECT $1, 't', 1, 'r', 'a', '', '', '', '', now(), '', "
        "CASE WHEN $2::bool THEN now() END, 1"
    )
    async with database.connection() as connection:
        for event_id, timer in (("1", False), ("2", True), ("3", True)):
            await connection.execute(insert, event_id, timer)
        with pytest.raises(asyncpg.UniqueViolationError):
            await connection.execute(insert, "4", False)
