"""PostgreSQL: a bounded pool, the ambient transaction, statements from .sql files, typed errors."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypeVar

import aiosql
import asyncpg
from asyncpg.pool import PoolConnectionProxy

from infra import limits
from infra.settings import ServiceSettings
from mesh import model

Connection: TypeAlias = "PoolConnectionProxy[asyncpg.Record]"
Isolation = Literal["read_committed", "repeatable_read", "serializable"]
Result = TypeVar("Result")

GONE = (
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.QueryCanceledError,
)
"""The database is gone, read-only, full or too slow."""
_LOST = ("closed", "released", "not connected", '"failed" state', "another operation (2)")
"""What asyncpg says of a connection that was lost, if it was not waiting for an answer just then.

Its operation 2 is a farewell of the server's that it has begun to read.
"""
COLLISIONS = (asyncpg.LockNotAvailableError, asyncpg.SerializationError, asyncpg.DeadlockDetectedError)


class _Session(asyncpg.Connection):
    """A connection that is given back without a round trip: nothing here changes a session's settings."""

    def get_reset_query(self) -> str:
        return ""


class Contention(model.Conflict):
    """Others changed the same data at the same time; try again."""


Contention.reason = model.Conflict.reason


class _Ambient:
    """A transaction that is under way, shared by everything that its task calls."""

    def __init__(self, database: Database, connection: Connection) -> None:
        self.database = database
        self.connection = connection
        self.open = True
        self.announced = False


_ambient: ContextVar[_Ambient | None] = ContextVar("ambient_transaction", default=None)
_announced: ContextVar[bool] = ContextVar("announced", default=False)


def announce() -> None:
    """Say that what is now being written should wake the relay as soon as it is committed."""
    ambient = _ambient.get()
    if ambient is not None and ambient.open:
        ambient.announced = True
    else:
        _announced.set(True)


class Database:
    """One service's schema in PostgreSQL.

    Everything raises model.Unavailable when the database is gone, read-only or too slow,
    model.Exhausted when no connection becomes free in time, and Contention when others were faster.
    """

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        self._pool = pool
        self._listeners: list[Callable[[], None]] = []

    def after_commit(self, listener: Callable[[], None]) -> None:
        """Have `listener` called after each commit that was announced."""
        self._listeners.append(listener)

    @contextlib.asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """The ambient transaction's connection; outside of one, a connection on which each statement commits."""
        ambient = self._open_ambient()
        if ambient is not None:
            yield ambient.connection
            return
        with _typed():
            async with self._acquired() as connection:
                yield connection
        self._tell(_announced.get())

    @contextlib.asynccontextmanager
    async def transaction(self, isolation: Isolation = "read_committed") -> AsyncIterator[Connection]:
        """A transaction that everything called inside joins; joins the ambient one if there is one."""
        ambient = self._open_ambient()
        if ambient is not None:
            yield ambient.connection
            return
        with _typed():
            async with self._acquired() as connection, self._begun(connection, isolation) as ambient:
                yield connection
        self._tell(ambient.announced or _announced.get())

    @contextlib.asynccontextmanager
    async def savepoint(self) -> AsyncIterator[Connection]:
        """A part of the ambient transaction that can fail alone. Raises: RuntimeError if there is none."""
        ambient = self._open_ambient()
        if ambient is None:
            raise RuntimeError("a savepoint needs a transaction")
        async with ambient.connection.transaction():
            yield ambient.connection

    async def run(self, work: Callable[[], Awaitable[Result]], isolation: Isolation = "read_committed") -> Result:
        """Run `work` in a transaction, and again when it collides with others: it must have no other effect."""
        if self._open_ambient() is not None:
            return await work()
        for attempt in range(limits.TRANSACTION_TRIES - 1):
            try:
                async with self.transaction(isolation):
                    return await work()
            except Contention:
                await asyncio.sleep(random.uniform(0, 0.01 * 2**attempt))
        async with self.transaction(isolation):
            return await work()

    async def ready(self) -> None:
        """Raises: model.Error unless the database answers and can be written to."""
        async with self.connection() as connection:
            if await connection.fetchval("SELECT current_setting('transaction_read_only')::bool"):
                raise model.Unavailable("The database is read-only.")

    def _open_ambient(self) -> _Ambient | None:
        ambient = _ambient.get()
        return ambient if ambient is not None and ambient.open and ambient.database is self else None

    @contextlib.asynccontextmanager
    async def _begun(self, connection: Connection, isolation: Isolation) -> AsyncIterator[_Ambient]:
        ambient = _Ambient(self, connection)
        async with connection.transaction(isolation=isolation):
            token = _ambient.set(ambient)
            try:
                yield ambient
            finally:
                ambient.open = False
                _ambient.reset(token)

    @contextlib.asynccontextmanager
    async def _acquired(self) -> AsyncIterator[Connection]:
        try:
            connection = await self._pool.acquire(timeout=limits.POOL_WAIT)
        except OSError as error:  # TimeoutError is one
            raise self._refusal() from error
        try:
            yield connection
        finally:
            await self._pool.release(connection)

    def _refusal(self) -> model.Error:
        if self._pool.get_size() - self._pool.get_idle_size() >= self._pool.get_max_size():
            return model.Exhausted("Too many calls wait for the database; try again.", retry_after=1.0)
        return model.Unavailable("The database cannot be reached now; try again.", retry_after=1.0)

    def _tell(self, announced: bool) -> None:
        if announced:
            _announced.set(False)
            for listener in self._listeners:
                listener()


@contextlib.contextmanager
def _typed() -> Iterator[None]:
    try:
        yield
    except COLLISIONS as error:
        raise Contention(retry_after=0.1) from error
    except GONE as error:
        raise model.Unavailable("The database is not available now; try again.", retry_after=1.0) from error
    except (asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
        if not any(word in str(error) for word in _LOST):
            raise
        raise model.Unavailable("The connection to the database was lost; try again.", retry_after=1.0) from error


@contextlib.asynccontextmanager
async def open_database(settings: ServiceSettings) -> AsyncIterator[Database]:
    """The schema of `settings.workload`. Connects when first used, so that a process starts without its database."""
    pool = await asyncpg.create_pool(
        host=settings.postgres_host,
        port=settings.postgres_port,
        user=settings.workload,
        password=settings.secret("postgres"),
        database=settings.postgres_database,
        connection_class=_Session,
        min_size=0,
        max_size=settings.postgres_connections,
        timeout=limits.CONNECT_TIMEOUT,
        command_timeout=limits.COMMAND_TIMEOUT,
        server_settings=_session(settings.workload),
    )
    try:
        yield Database(pool)
    finally:
        # What does not close in time, such as a connection whose server died, asyncpg cuts off before it raises.
        with contextlib.suppress(OSError, asyncpg.InterfaceError):
            async with asyncio.timeout(limits.POOL_CLOSE):
                await pool.close()


def _session(workload: str) -> dict[str, str]:
    return {
        "application_name": workload,
        "search_path": workload,
        "timezone": "UTC",
        # Compiling a plan takes longer than any of our statements, asyncpg's look-up of types above all.
        "jit": "off",
        "statement_timeout": milliseconds(limits.STATEMENT_TIMEOUT),
        "lock_timeout": milliseconds(limits.LOCK_TIMEOUT),
        "idle_in_transaction_session_timeout": milliseconds(limits.IDLE_TRANSACTION_TIMEOUT),
    }


def milliseconds(seconds: float) -> str:
    """A duration as PostgreSQL's settings take it."""
    return f"{round(seconds * 1000)}ms"


def queries(path: Path) -> Any:
    """The statements of a .sql file as functions of a connection and named parameters (aiosql)."""
    return aiosql.from_path(path, "asyncpg", mandatory_parameters=False)
