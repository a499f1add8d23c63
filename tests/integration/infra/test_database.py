"""The ambient transaction, collisions, bounds and typed errors, on a real PostgreSQL."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import os
import signal
from collections.abc import Callable, Coroutine
from typing import Any

import asyncpg
import pytest

from infra import limits, postgres
from infra.postgres import Contention, Database, open_database
from infra.settings import ServiceSettings
from mesh import model
from tests.servers import Postgres


async def add(database: Database, name: str = "a", by: int = 1) -> None:
    async with database.connection() as connection:
        await connection.execute("UPDATE counters SET value = value + $2 WHERE name = $1", name, by)


async def value(database: Database, name: str = "a") -> int:
    async with database.connection() as connection:
        return int(await connection.fetchval("SELECT value FROM counters WHERE name = $1", name))


async def test_all_that_a_transaction_calls_joins_it(database: Database) -> None:
    """connection() inside a transaction is the transaction's own: all of it commits or none."""
    async with database.transaction():
        await add(database)
        async with database.transaction():
            await add(database)
        assert await value(database) == 2
    with pytest.raises(ZeroDivisionError):
        async with database.transaction():
            await add(database)
            raise ZeroDivisionError
    assert await value(database) == 2


async def test_a_connection_that_hangs_holds_nothing_up(settings: ServiceSettings) -> None:
    """A process ends in time, and without an error, when its database does not even hear its good-bye."""
    loop = asyncio.get_running_loop()
    async with open_database(settings) as database:
        async with database.connection() as connection:
            backend = await connection.fetchval("SELECT pg_backend_pid()")
        os.kill(backend, signal.SIGSTOP)
        left = loop.time()
    try:
        assert loop.time() - left < limits.POOL_CLOSE + 1
    finally:
        os.kill(backend, signal.SIGCONT)


async def test_a_task_that_outlives_its_transaction_has_none(database: Database) -> None:
    """Work left behind in a transaction's context uses a connection of its own afterwards."""
    ended = asyncio.Event()

    async def later() -> int:
        await ended.wait()
        return await value(database)

    async with database.transaction():
        await add(database)
        task = asyncio.create_task(later())
    ended.set()
    assert await task == 1


async def test_a_savepoint_fails_alone(database: Database) -> None:
    """What happened before it in the transaction stands."""
    async with database.transaction():
        await add(database)
        with pytest.raises(ZeroDivisionError):
            async with database.savepoint():
                await add(database)
                raise ZeroDivisionError
    assert await value(database) == 1


async def test_a_deadlock_is_run_again(database: Database) -> None:
    """Two transactions that take rows in opposite order both succeed."""
    both = asyncio.Barrier(2)
    runs = 0

    async def move(first: str, second: str) -> None:
        nonlocal runs
        runs += 1
        await add(database, first)
        if runs <= 2:
            await both.wait()
        await add(database, second)

    await asyncio.gather(database.run(lambda: move("a", "b")), database.run(lambda: move("b", "a")))
    assert runs == 3
    assert (await value(database, "a"), await value(database, "b")) == (2, 2)


async def test_a_serialisation_failure_is_run_again(database: Database) -> None:
    """Transactions that read what others write lose no update."""

    async def increment() -> None:
        seen = await value(database)
        async with database.connection() as connection:
            await connection.execute("UPDATE counters SET value = $1 WHERE name = 'a'", seen + 1)

    await asyncio.gather(*(database.run(increment, "serializable") for _ in range(3)))
    assert await value(database) == 3


async def test_endless_collisions_become_contention(database: Database) -> None:
    """After the last try the caller hears ABORTED."""
    runs = 0

    async def collide() -> None:
        nonlocal runs
        runs += 1
        raise asyncpg.SerializationError

    with pytest.raises(Contention) as caught:
        await database.run(collide)
    assert runs == limits.TRANSACTION_TRIES
    assert (caught.value.reason, isinstance(caught.value, model.Conflict)) == ("CONFLICT", True)


async def test_listeners_hear_of_announced_commits_only(database: Database) -> None:
    """The relay wakes when an event was committed, not at each read, and not before the commit."""
    heard: list[str] = []
    database.after_commit(lambda: heard.append("!"))
    await value(database)
    async with database.transaction():
        postgres.announce()
        await add(database)
        assert heard == []
    assert heard == ["!"]
    postgres.announce()
    await add(database)
    await add(database)
    assert heard == ["!", "!"]


async def test_waiting_for_a_connection_is_bounded(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """When all connections are busy for too long, the caller hears that too much was asked for, and when to return."""
    monkeypatch.setattr(limits, "POOL_WAIT", 0.1)
    async with database.connection(), database.connection(), database.connection():
        with pytest.raises(model.Exhausted) as caught:
            await value(database)
    assert caught.value.retry_after


async def test_waiting_for_a_row_is_bounded(database: Database) -> None:
    """Who meets a stuck transaction hears it instead of hanging."""
    async with database.transaction():
        await add(database)

        async def other() -> None:
            async with database.transaction() as connection:
                await connection.execute("SET LOCAL lock_timeout = '50ms'")
                await connection.execute("UPDATE counters SET value = 0 WHERE name = 'a'")

        with pytest.raises(Contention):
            await _outside(other)


async def test_a_slow_statement_is_ended(database: Database) -> None:
    """The server gives a statement up; its caller hears UNAVAILABLE."""
    with pytest.raises(model.Unavailable):
        async with database.transaction() as connection:
            await connection.execute("SET LOCAL statement_timeout = '50ms'")
            await connection.fetchval("SELECT pg_sleep(5)")


async def test_a_restart_is_survived(database: Database, postgres: Postgres) -> None:
    """While the server is away calls fail at once and typed; afterwards they work, with the same pool."""
    await add(database)
    postgres.crash()
    for _ in range(3):
        with pytest.raises(model.Unavailable):
            await value(database)
    with pytest.raises(model.Unavailable):
        await database.ready()
    await asyncio.to_thread(postgres.start)
    await database.ready()
    assert await value(database) == 1


async def test_a_connection_cut_in_a_transaction_is_unavailable(database: Database, postgres: Postgres) -> None:
    """What was not committed is gone, and the caller hears it typed."""
    with pytest.raises(model.Unavailable):
        async with database.transaction() as connection:
            await add(database)
            backend = await connection.fetchval("SELECT pg_backend_pid()")
            await postgres.execute(f"SELECT pg_terminate_backend({backend})")
            await add(database)
    assert await value(database) == 0


@pytest.mark.parametrize("pause", [0.0, 0.1], ids=["at once", "later"])
async def test_a_connection_cut_between_statements_is_unavailable(
    database: Database, postgres: Postgres, pause: float
) -> None:
    """However far the client has noticed: the caller hears it typed, and the next one has a connection."""
    with pytest.raises(model.Unavailable):
        async with database.connection() as connection:
            backend = await connection.fetchval("SELECT pg_backend_pid() WHERE $1", True)
            await postgres.execute(f"SELECT pg_terminate_backend({backend})")
            await asyncio.sleep(pause)
            for _ in range(3):
                with contextlib.suppress(asyncpg.AdminShutdownError):
                    await connection.fetchval("SELECT pg_backend_pid() WHERE $1", True)
    assert await value(database) == 0


@pytest.mark.parametrize(
    "said",
    [
        'cannot switch to state 12; protocol is in the "failed" state',
        "cannot switch to state 12; another operation (2) is in progress",
        "not connected",
    ],
)
async def test_a_connection_that_asyncpg_calls_failed_is_unavailable(database: Database, said: str) -> None:
    """It says so with an error of its own when the loss comes between its own steps."""
    with pytest.raises(model.Unavailable):
        async with database.connection():
            raise asyncpg.InternalClientError(said)
    with pytest.raises(asyncpg.InternalClientError):
        async with database.connection():
            raise asyncpg.InternalClientError("cannot switch to state 12; another operation (3) is in progress")


async def test_a_read_only_database_is_not_ready(
    database: Database, postgres: Postgres, settings: ServiceSettings
) -> None:
    """A server that takes no writes, such as a standby, gets no traffic."""
    await postgres.execute(f"ALTER DATABASE {settings.postgres_database} SET default_transaction_read_only = on")
    async with open_database(settings) as opened:
        with pytest.raises(model.Unavailable):
            await opened.ready()
        with pytest.raises(model.Unavailable):
            await add(opened)


async def test_a_process_starts_without_its_database(settings: ServiceSettings) -> None:
    """Opening needs no server; using it says that there is none."""
    async with open_database(settings.model_copy(update={"postgres_port": 1})) as opened:
        with pytest.raises(model.Unavailable):
            await opened.ready()


async def test_a_mistake_stays_a_mistake(database: Database) -> None:
    """Errors of our own are not dressed up as somebody's fault."""
    with pytest.raises(asyncpg.UndefinedTableError):
        async with database.connection() as connection:
            await connection.execute("SELECT * FROM nothing")
    with pytest.raises(asyncpg.DataError):
        async with database.connection() as connection:
            await connection.fetchval("SELECT $1::int", "one")


async def test_schemas_are_private(settings: ServiceSettings) -> None:
    """One service's role cannot read another's tables."""
    async with open_database(settings) as opened:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with opened.connection() as connection:
                await connection.fetch("SELECT * FROM auth.outbox")


async def _outside(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run `work` in a context without the ambient transaction."""
    await asyncio.create_task(work(), context=contextvars.Context())
