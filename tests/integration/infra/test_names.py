"""Names of services, as PostgreSQL sees them: each is a schema, a role and perhaps a table."""

from __future__ import annotations

from infra.cli import names
from infra.postgres import Database

RESERVED = "SELECT word FROM pg_get_keywords() WHERE catcode IN ('R', 'T') UNION SELECT nspname FROM pg_namespace"


async def test_no_service_has_a_reserved_name(database: Database) -> None:
    """What PostgreSQL keeps for itself names no service."""
    async with database.connection() as connection:
        words = {str(row["word"]) for row in await connection.fetch(RESERVED)}
    shaped = {word for word in words if names.SHAPE.fullmatch(word)}
    assert sorted(word for word in shaped if not names.reserved(word)) == []
    assert len(shaped) > 50
