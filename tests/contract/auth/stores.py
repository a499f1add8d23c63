"""The stores of auth, each with a way to see what it announced."""

from __future__ import annotations

from typing import Protocol, TypeAlias

from infra.postgres import Database
from services.auth.api_keys_store import PostgresApiKeys
from services.auth.domain.api_keys import ApiKeyStore
from services.auth.domain.organisations import OrganisationStore
from services.auth.domain.passkeys import PasskeyStore
from services.auth.domain.ports import Store
from services.auth.organisations_store import PostgresOrganisations
from services.auth.passkeys_store import PostgresPasskeys
from services.auth.store import PostgresStore
from tests.fakes.api_keys import FakeApiKeys
from tests.fakes.auth import FakeStore
from tests.fakes.organisations import FakeOrganisations
from tests.fakes.passkeys import FakePasskeys

Announced: TypeAlias = tuple[str, str, str, int]
"""Type, resource, aggregate id and place in the aggregate's history."""


class Kept(Protocol):
    """A store under test."""

    @property
    def store(self) -> Store:
        """The store."""

    @property
    def passkeys(self) -> PasskeyStore:
        """The store of passkeys beside it."""

    @property
    def api_keys(self) -> ApiKeyStore:
        """The store of API keys beside it."""

    @property
    def organisations(self) -> OrganisationStore:
        """The store of organisations beside it."""

    async def announced(self) -> list[Announced]:
        """What was announced so far, in any order."""


class InMemory:
    def __init__(self) -> None:
        self._store = FakeStore()
        self._passkeys = FakePasskeys(self._store)
        self._api_keys = FakeApiKeys(self._store)
        self._organisations = FakeOrganisations(self._store)

    @property
    def store(self) -> Store:
        return self._store

    @property
    def passkeys(self) -> PasskeyStore:
        return self._passkeys

    @property
    def api_keys(self) -> ApiKeyStore:
        return self._api_keys

    @property
    def organisations(self) -> OrganisationStore:
        return self._organisations

    async def announced(self) -> list[Announced]:
        return [(event.type, event.resource, event.aggregate_id, seq) for seq, event in self._store.events]


class InPostgres:
    def __init__(self, database: Database) -> None:
        self._database = database

    @property
    def store(self) -> Store:
        return PostgresStore(self._database)

    @property
    def passkeys(self) -> PasskeyStore:
        return PostgresPasskeys(self._database)

    @property
    def api_keys(self) -> ApiKeyStore:
        return PostgresApiKeys(self._database)

    @property
    def organisations(self) -> OrganisationStore:
        return PostgresOrganisations(self._database)

    async def announced(self) -> list[Announced]:
        async with self._database.connection() as connection:
            rows = await connection.fetch("SELECT type, resource, aggregate_id, aggregate_seq FROM outbox")
        return [tuple(row) for row in rows]
