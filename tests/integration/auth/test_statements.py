"""Every statement against a migrated database."""

from __future__ import annotations

from infra.postgres import Database
from services.auth import api_keys_store, organisations_store, passkeys_store, store

STATEMENTS = [
    getattr(module.sql, name).sql
    for module in (store, passkeys_store, organisations_store, api_keys_store)
    for name in module.sql.available_queries
    if not name.endswith("_cursor")
]


async def test_the_database_understands_all(database: Database) -> None:
    """PostgreSQL prepares every statement: its tables, columns and types exist."""
    async with database.connection() as connection:
        for statement in STATEMENTS:
            assert await connection.prepare(statement), statement
