"""What is too old is deleted, all of it, and nothing else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from infra import limits
from infra.events.statements import inbox
from infra.housekeeping import Housekeeping
from infra.postgres import Database
from mesh import model

NOW = datetime.now(UTC)


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


async def publish(database: Database, at: datetime, born: datetime, published: bool = True) -> None:
    async with database.connection() as connection:
        await connection.execute(
            "INSERT INTO outbox SELECT $1, 't', 1, 'r', $1, '', '', '', '', $2, '', NULL, 1, $3",
            model.new_id("event", born.timestamp()),
            born,
            at if published else None,
        )


async def receive(database: Database, at: datetime, born: datetime) -> str:
    async with database.connection() as connection:
        event_id = model.new_id("event", born.timestamp())
        await connection.execute("INSERT INTO inbox VALUES ($1, 's', 'r', $1, 1, $2)", event_id, at)
    return event_id


async def number(database: Database, table: str) -> int:
    async with database.connection() as connection:
        return int(await connection.fetchval(f"SELECT count(*) FROM {table}"))


async def test_published_events_are_kept_for_their_time(database: Database) -> None:
    """The outbox forgets what was published long ago; what was not published it never forgets."""
    old, young = ago(limits.OUTBOX_KEEP + 60), ago(limits.OUTBOX_KEEP - 60)
    await publish(database, old, born=old)
    await publish(database, young, born=old)
    await publish(database, young, born=young)
    await publish(database, old, born=old, published=False)
    assert await Housekeeping(database).clean(NOW) == 1
    assert await number(database, "outbox") == 3


async def test_received_events_are_remembered_longer_than_any_replay(database: Database) -> None:
    """The inbox counts from the receipt: an old event that came late stays known."""
    old, young = ago(limits.INBOX_KEEP + 60), ago(limits.INBOX_KEEP - 60)
    await receive(database, old, born=old)
    await receive(database, young, born=old)
    assert await Housekeeping(database).clean(NOW) == 1
    assert await number(database, "inbox") == 1


async def test_what_came_again_is_remembered_from_then_on(database: Database) -> None:
    """A replay begins the outbox's time anew, and the inbox's with it: the replay after the next is no news either."""
    old = ago(limits.INBOX_KEEP + 60)
    event_id = await receive(database, old, born=old)
    place = {"event_id": event_id, "source": "s", "resource": "r", "aggregate_id": event_id, "aggregate_seq": 1}
    async with database.connection() as connection:
        assert not (await inbox.receive(connection, **place, previous=0))["is_new"]
    assert await Housekeeping(database).clean(NOW) == 0


async def test_requests_and_dead_letters_are_kept_for_their_time(database: Database) -> None:
    """A request id is free after a day; a dead letter waits a month."""
    async with database.connection() as connection:
        for seconds in (limits.IDEMPOTENCY_KEEP + 60, limits.IDEMPOTENCY_KEEP - 60):
            at = ago(seconds)
            await connection.execute("INSERT INTO idempotency VALUES ('p', 'm', $1, '', NULL, $2)", str(at), at)
        for seconds in (limits.DEAD_KEEP + 60, limits.DEAD_KEEP - 60):
            await connection.execute(
                "INSERT INTO parked (event_id, source, resource, aggregate_id, aggregate_seq, ordered, type, envelope, "
                "dead_at) VALUES ($1, 's', 'r', 'a', 1, true, 't', '', $2)",
                str(seconds),
                ago(seconds),
            )
    assert await Housekeeping(database).clean(NOW) == 2
    assert (await number(database, "idempotency"), await number(database, "parked")) == (1, 1)


async def test_much_is_deleted_in_batches(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """One round deletes everything, a bounded batch at a time."""
    monkeypatch.setattr(limits, "CLEAN_BATCH", 3)
    old = ago(limits.INBOX_KEEP + 60)
    for _ in range(8):
        await receive(database, old, born=old)
    assert await Housekeeping(database).clean(NOW) == 8
