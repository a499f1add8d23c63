"""Every statement against a migrated database."""

from __future__ import annotations

import pytest

from infra.postgres import open_database
from services.users.main import Settings
from services.users.store import sql

STATEMENTS = [name for name in sql.available_queries if not name.endswith("_cursor")]


@pytest.mark.parametrize("name", STATEMENTS)
async def test_the_database_understands_it(settings: Settings, name: str) -> None:
    """PostgreSQL prepares the statement: its tables, columns and types exist."""
    async with open_database(settings) as database, database.connection() as connection:
        await connection.prepare(getattr(sql, name).sql)


@pytest.mark.parametrize("query", ["page_of_profiles", "page_of_handles"])
async def test_pages_come_from_an_index(settings: Settings, query: str) -> None:
    """A page is read from an index, without a look at the whole table."""
    async with open_database(settings) as database, database.transaction() as connection:
        await connection.execute("SET LOCAL enable_seqscan = off; SET LOCAL plan_cache_mode = force_generic_plan")
        arguments = ["user_0", 10] if query == "page_of_profiles" else ["ad", "user_0", 10]
        statement = f"EXPLAIN {getattr(sql, query).sql}"
        plan = "\n".join(row[0] for row in await connection.fetch(statement, *arguments))
    assert "Index" in plan
    assert "Seq Scan" not in plan
