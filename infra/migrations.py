"""Migrations: plain SQL, forward only, applied by dbmate to one workload's schema."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

_ROOT = Path(__file__).parent.parent
_SHARED = (_ROOT / "infra" / "events" / "migrations", _ROOT / "infra" / "idempotency" / "migrations")


class MigrationFailed(Exception):
    """dbmate could not bring a schema up to date; the message is what it said."""


def dsn(user: str, password: str, host: str, port: int, database: str) -> str:
    """A connection string; `host` is a name or the folder of a Unix socket."""
    login = f"postgres://{quote(user, '')}:{quote(password, '')}@"
    if host.startswith("/"):
        return f"{login}/{database}?host={quote(host, '')}&port={port}"
    return f"{login}{host}:{port}/{database}?sslmode=prefer"


def migrate(dsn: str, workload: str) -> None:
    """Bring schema `workload` up to date: the tables of events and idempotency, then the service's own.

    `dsn` connects as the owner of the schema. Raises: MigrationFailed.
    """
    folders = [option for folder in _folders(workload) for option in ("--migrations-dir", str(folder))]
    done = subprocess.run(
        [_dbmate(), *folders, "--no-dump-schema", "--migration-lock", "migrate"],
        env={"DATABASE_URL": f"{dsn}&search_path={workload}"},  # the environment hides the password from ps
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise MigrationFailed(f"{workload}: {(done.stderr or done.stdout).strip().replace(dsn, '…')}")


def _folders(workload: str) -> list[Path]:
    own = _ROOT / "services" / workload / "migrations"
    return [*_SHARED, *([own] if own.is_dir() else [])]


def _dbmate() -> str:
    return str(Path(sys.executable).with_name("dbmate"))
