"""Every statement of notifications against a migrated database."""

from __future__ import annotations

import pytest

from infra.postgres import open_database
from infra.settings import ServiceSettings
from services.notifications import preferences_store, store
from services.notifications.inbox import store as inbox
from services.notifications.push import store as push
from tests.servers import PASSWORD, Postgres

STATEMENTS = [
    pytest.param(getattr(part.sql, name).sql, id=name)
    for part in (store, preferences_store, inbox, push)
    for name in part.sql.available_queries
    if not name.endswith("_cursor")
]


@pytest.mark.parametrize("statement", STATEMENTS)
async def test_the_database_understands_it(
    postgres: Postgres, tmp_path_factory: pytest.TempPathFactory, statement: str
) -> None:
    """PostgreSQL prepares the statement: its tables, columns and types exist."""
    folder = tmp_path_factory.mktemp("secrets")
    (folder / "postgres").write_text(PASSWORD)
    settings = ServiceSettings(
        workload="notifications",
        run_dir=folder,
        state_dir=folder,
        secrets_dir=folder,
        postgres_port=postgres.port,
        postgres_database=await postgres.new_database(),
    )
    async with open_database(settings) as database, database.connection() as connection:
        assert await connection.prepare(statement)
