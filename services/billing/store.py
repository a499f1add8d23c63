"""Billing in PostgreSQL: each method is one statement of queries.sql, or two in a transaction."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from infra.postgres import Connection, Database, queries
from mesh.model import OrganisationId
from services.billing.domain.ledger import Account, Balance, Entry, SourceReused, Transfer
from services.billing.domain.plans import Interval, Plan

sql = queries(Path(__file__).with_name("queries.sql"))


class PostgresStore:
    """A `services.billing.domain.storage.Store`."""

    def __init__(self, database: Database) -> None:
        self.database = database

    async def plans(self) -> Sequence[Plan]:
        async with self.database.connection() as connection:
            return [
                Plan(**{**found, "interval": Interval(found["interval"])}) async for found in sql.get_plans(connection)
            ]

    async def post(self, transfer: Transfer) -> bool:
        async with self.database.transaction() as connection:
            put = await sql.put_transfer(
                connection,
                source=transfer.source,
                organisation_id=transfer.organisation_id,
                create_time=transfer.create_time,
                accounts=[entry.account for entry in transfer.entries],
                amounts=[entry.amount for entry in transfer.entries],
                currencies=[entry.currency for entry in transfer.entries],
            )
            if put is None and not await _posted(connection, transfer):
                raise SourceReused(transfer.source)
        return put is not None

    async def balance(self, organisation_id: OrganisationId, account: Account, currency: str) -> int:
        async with self.database.connection() as connection:
            return int(
                await sql.get_balance(connection, organisation_id=organisation_id, account=account, currency=currency)
            )

    async def balances(self) -> Sequence[Balance]:
        async with self.database.connection() as connection:
            return [
                Balance(Account(found["account"]), found["currency"], found["amount"])
                async for found in sql.get_balances(connection)
            ]


async def _posted(connection: Connection, transfer: Transfer) -> bool:
    found = [one async for one in sql.get_entries(connection, source=transfer.source)]
    entries = tuple(Entry(Account(one["account"]), one["amount"], one["currency"]) for one in found)
    return {one["organisation_id"] for one in found} == {transfer.organisation_id} and entries == transfer.entries
