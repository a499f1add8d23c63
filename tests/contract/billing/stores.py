"""The stores of billing."""

from __future__ import annotations

from datetime import date
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

    async def reconciliations(self) -> list[tuple[date, int]]:
        """The days that were compared, and how many movements of each."""


class InMemory:
    def __init__(self) -> None:
        self.store = FakeStore()

    async def reconciliations(self) -> list[tuple[date, int]]:
        return [(one.day, one.compared) for one in self.store.reconciled.values()]


class InPostgres:
    def __init__(self, database: Database) -> None:
        self.store = PostgresStore(database)
        self.database = database

    async def reconciliations(self) -> list[tuple[date, int]]:
        async with self.database.connection() as connection:
            return [tuple(row) for row in await connection.fetch("SELECT day, compared FROM reconciliations")]
