"""The stores of billing."""

from __future__ import annotations

from typing import Protocol

from infra.postgres import Database
from services.billing.domain.storage import Store
from services.billing.store import PostgresStore
from tests.fakes.billing import FakeStore


class Kept(Protocol):
    """A store under test."""

    @property
    def store(self) -> Store:
        """The store."""

    async def reminded(self) -> int:
        """How many reminders will be published."""


class InMemory:
    def __init__(self) -> None:
        self.store = FakeStore()

    async def reminded(self) -> int:
        return len(self.store.reminders)


class InPostgres:
    def __init__(self, database: Database) -> None:
        self.store = PostgresStore(database)
        self.database = database

    async def reminded(self) -> int:
        async with self.database.connection() as connection:
            return int(await connection.fetchval("SELECT count(*) FROM outbox WHERE publish_at IS NOT NULL"))
