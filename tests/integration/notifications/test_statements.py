"""Every statement of notifications against a migrated database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from infra.postgres import Connection, Database, open_database
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


async def plan(connection: Connection, statement: str) -> str:
    """How it is carried out whatever its parameters are, where tables are large."""
    nothing = ", ".join("NULL" for _ in (await connection.prepare(statement)).get_parameters())
    await connection.execute("SET LOCAL enable_seqscan = off; SET LOCAL plan_cache_mode = force_generic_plan")
    await connection.execute(f"PREPARE asked AS {statement}")
    return "\n".join(row[0] for row in await connection.fetch(f"EXPLAIN EXECUTE asked({nothing})"))


@pytest.mark.parametrize("name", ["settle", "sweep"])
async def test_a_delivery_and_what_it_collects_are_found_by_their_indexes(
    postgres: Postgres, tmp_path: Path, name: str
) -> None:
    """Each attempt ends so: it may not look at all the deliveries of a month."""
    async with opened(postgres, tmp_path) as database, database.transaction() as connection:
        found = await plan(connection, getattr(store.sql, name).sql)
    assert "BitmapOr" in found and "Seq Scan on deliveries" not in found, found


@pytest.mark.parametrize("statement", STATEMENTS)
async def test_the_database_understands_it(
    postgres: Postgres, tmp_path_factory: pytest.TempPathFactory, statement: str
) -> None:
    """PostgreSQL prepares the statement: its tables, columns and types exist."""
    folder = tmp_path_factory.mktemp("secrets")
    async with opened(postgres, folder) as database, database.connection() as connection:
        assert await connection.prepare(statement)


@asynccontextmanager
async def opened(postgres: Postgres, folder: Path) -> AsyncIterator[Database]:
    (folder / "postgres").write_text(PASSWORD)
    settings = ServiceSettings(
        workload="notifications",
        run_dir=folder,
        state_dir=folder,
        secrets_dir=folder,
        postgres_port=postgres.port,
        postgres_database=await postgres.new_database(),
    )
    async with open_database(settings) as database:
        yield database
