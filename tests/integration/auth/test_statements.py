"""Every statement against a migrated database."""

from __future__ import annotations

from infra.postgres import Database
from services.auth.store import sql

STATEMENTS = [name for name in sql.available_queries if not name.endswith("_cursor")]


async def test_the_database_understands_all(database: Database) -> None:
    """PostgreSQL prepares every statement: its tables, columns and types exist."""
    async with database.connection() as connection:
        for name in STATEMENTS:
            assert await connection.prepare(getattr(sql, name).sql), name
