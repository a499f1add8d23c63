"""Both stores of deliveries, empty, in turn."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from infra.postgres import open_database
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
async def store(server: Postgres | None, tmp_path: Path) -> AsyncIterator[Store]:
    if server is None:
        yield FakeStore()
        return
    (tmp_path / "postgres").write_text(PASSWORD)
    settings = Settings(
        run_dir=tmp_path,
        state_dir=tmp_path,
        secrets_dir=tmp_path,
        postgres_port=server.port,
        postgres_database=await server.new_database(),
    )
    async with open_database(settings) as database:
        yield PostgresStore(database)
