"""Both kinds of stores, empty, in turn."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from infra.postgres import Database, open_database
from services.notifications.domain.deliveries import Store
from services.notifications.main import Settings
from services.notifications.store import PostgresStore
from tests.fakes.notifications import FakeStore
from tests.servers import PASSWORD, Postgres


@pytest.fixture(params=["memory", "PostgreSQL"])
def server(request: pytest.FixtureRequest) -> Postgres | None:
    """The server of the store under test, if it has one."""
    return request.getfixturevalue("postgres") if request.param == "PostgreSQL" else None


@pytest.fixture
async def database(server: Postgres | None, tmp_path: Path) -> AsyncIterator[Database | None]:
    """An empty schema, if the store under test needs one."""
    if server is None:
        yield None
        return
    (tmp_path / "postgres").write_text(PASSWORD)
    settings = Settings(
        run_dir=tmp_path,
        state_dir=tmp_path,
        secrets_dir=tmp_path,
        postgres_port=server.port,
        postgres_database=await server.new_database(),
    )
    async with open_database(settings) as opened:
        yield opened


@pytest.fixture
def store(database: Database | None) -> Store:
    return PostgresStore(database) if database else FakeStore()
