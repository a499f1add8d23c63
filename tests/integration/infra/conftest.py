"""One service's schema, and the settings with which it is opened."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from infra.postgres import Database, open_database
from infra.settings import ServiceSettings
from tests.servers import PASSWORD, Postgres


@pytest.fixture
async def settings(postgres: Postgres, tmp_path: Path) -> ServiceSettings:
    (tmp_path / "postgres").write_text(PASSWORD)
    (tmp_path / "valkey").write_text(PASSWORD)
    return ServiceSettings(
        workload="users",
        run_dir=tmp_path,
        state_dir=tmp_path,
        secrets_dir=tmp_path,
        postgres_port=postgres.port,
        postgres_database=await postgres.new_database(),
        postgres_connections=3,
    )


@pytest.fixture
async def database(settings: ServiceSettings) -> AsyncIterator[Database]:
    async with open_database(settings) as opened:
        async with opened.connection() as connection:
            await connection.execute("CREATE TABLE counters (name text PRIMARY KEY, value integer NOT NULL)")
            await connection.execute("INSERT INTO counters VALUES ('a', 0), ('b', 0)")
        yield opened
