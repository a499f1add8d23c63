"""Migrations by dbmate, as a service's own role."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from infra import migrations
from infra.migrations import MigrationFailed, dsn, migrate
from infra.settings import ServiceSettings
from tests.servers import PASSWORD, Postgres


async def _fresh(postgres: Postgres, name: str) -> str:
    await postgres.execute(f"CREATE DATABASE {name}")
    await postgres.execute("CREATE SCHEMA users AUTHORIZATION users", name)
    return dsn("users", PASSWORD, "127.0.0.1", postgres.port, name)


async def test_migrating_twice_is_migrating_once(postgres: Postgres) -> None:
    """The second run finds nothing to do, also when two begin at the same time."""
    where = await _fresh(postgres, "twice")
    await asyncio.gather(*(asyncio.to_thread(migrate, where, "users") for _ in range(2)))
    await postgres.execute("SELECT * FROM users.outbox, users.inbox, users.idempotency, users.profiles", "twice")
    await postgres.execute("DROP DATABASE twice")


async def test_a_failed_migration_says_what_failed_and_no_password(
    postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message names the workload and the mistake."""
    (tmp_path / "20990101000000_bad.sql").write_text("-- migrate:up\nCREATE MISTAKE;\n-- migrate:down\n")
    monkeypatch.setattr(migrations, "_SHARED", (tmp_path,))
    where = await _fresh(postgres, "failing")
    with pytest.raises(MigrationFailed, match=r"^users: .*syntax error") as caught:
        await asyncio.to_thread(migrate, where, "users")
    assert f":{PASSWORD}@" not in str(caught.value)
    await postgres.execute("DROP DATABASE failing")


def test_a_password_may_hold_any_character(settings: ServiceSettings) -> None:
    """What an URL gives a meaning is quoted."""
    assert dsn("a", "p@ss/w:rd?", "/tmp/x", 5, "d") == "postgres://a:p%40ss%2Fw%3Ard%3F@/d?host=%2Ftmp%2Fx&port=5"
