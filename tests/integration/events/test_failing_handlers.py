"""What happens to an event whose handler fails, and to those around it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from tulle.event.v1 import event_pb2
from tulle.event.v1 import operations_pb2 as pb

from infra import limits
from infra.events.consumer import Consumer
from infra.events.received import Received
from infra.events.relay import Relay
from infra.postgres import Database
from mesh import model
from tests.integration.events.conftest import Site, eventually, operator, running
from tests.integration.events.story import effects, happen, histories, noting

CROWD = """
WITH crowd AS (
    INSERT INTO inbox (event_id, source, resource, aggregate_id, aggregate_seq)
    SELECT 'crowd_' || place, 'auth', 'account', 'crowd', place FROM generate_series(1, 40000) AS place
)
INSERT INTO parked (
    event_id, source, resource, aggregate_id, aggregate_seq, ordered, previous, type, envelope, attempts, retry_at
)
SELECT 'crowd_' || place, 'auth', 'account', 'crowd', place, true, place - 1, 'tulle.auth.v1.AccountCreated', '',
    CASE place WHEN 1 THEN 1 ELSE 0 END, now() + interval '1 hour'
FROM generate_series(1, 40000) AS place;
UPDATE parked SET retry_at = now() WHERE aggregate_id = 'bad';
ANALYZE inbox, parked;
"""
"""One event that is not due, and all those behind it; in the table another one that is due comes last."""


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for the next look at the parked."""
    monkeypatch.setattr(limits, "PARKED_POLL", 0.02)


class Poison:
    """Makes the handler fail for some aggregates until it is told to stop."""

    def __init__(self, *aggregates: str, error: Exception | None = None) -> None:
        self.aggregates = set(aggregates)
        self.error = error or ZeroDivisionError("poison")
        self.attempts = 0

    async def __call__(self, event: Received) -> None:
        if event.aggregate_id in self.aggregates:
            self.attempts += 1
            raise self.error


async def _deliver(site: Site, auth: Database, users: Database, poison: Poison, stack: AsyncExitStack) -> Consumer:
    out = await stack.enter_async_context(site.open_bus("auth"))
    into = await stack.enter_async_context(site.open_bus("users"))
    consumer = Consumer(users, into, "users", noting(users, poison))
    await stack.enter_async_context(running(Relay(auth, out, "auth").run, consumer.run))
    return consumer


async def test_a_failing_event_holds_up_its_own_aggregate_only(site: Site, auth: Database, users: Database) -> None:
    """It is parked with those behind it; the others' lane moves on; in the end its order holds."""
    poison = Poison("bad")
    for seq in (1, 2, 3):
        await happen(auth, "bad", seq)
        await happen(auth, "good", seq)
    async with AsyncExitStack() as stack:
        await _deliver(site, auth, users, poison, stack)
        await eventually(_equals(lambda: effects(users), [("good", 1), ("good", 2), ("good", 3)]))
        await eventually(_holds(users, parked=3, dead=0))
        poison.aggregates.clear()
        await eventually(_holds(users, parked=0, dead=0))
    assert histories(await effects(users))["bad"] == [1, 2, 3]


async def test_an_event_that_always_fails_ends_as_a_dead_letter(site: Site, auth: Database, users: Database) -> None:
    """After its last attempt an operator can read it, those behind it have gone on, and it can be tried again."""
    poison = Poison("bad")
    await happen(auth, "bad", 1)
    async with AsyncExitStack() as stack:
        await _deliver(site, auth, users, poison, stack)
        await eventually(_holds(users, parked=1, dead=0))
        await _hurry_until(users, _holds(users, parked=0, dead=1))
        (letter,) = await _letters(users)
        assert (letter.aggregate_id, letter.attempts, letter.readable) == ("bad", 10, True)
        assert "ZeroDivisionError" in letter.error
        assert "test_failing_handlers.py" in letter.error
        assert "poison" not in letter.error  # a message may quote what nobody should read

        poison.aggregates.clear()
        await happen(auth, "bad", 2)
        await eventually(_equals(lambda: effects(users), [("bad", 2)]))
        assert await _redriven(users, letter) == 1
        await eventually(_holds(users, parked=0, dead=0))
    assert sorted(await effects(users)) == [("bad", 1), ("bad", 2)]


async def test_what_is_unavailable_for_a_while_kills_no_event(site: Site, auth: Database, users: Database) -> None:
    """An event whose handler needs something that is away is tried for a day, not ten times."""
    poison = Poison("a", error=model.Unavailable())
    await happen(auth, "a", 1)
    async with AsyncExitStack() as stack:
        await _deliver(site, auth, users, poison, stack)
        await _hurry_until(users, _attempted(poison, 12))
        assert await _holds(users, parked=1, dead=0)()
        poison.aggregates.clear()
        await _hurry_until(users, _equals(lambda: effects(users), [("a", 1)]))


async def test_who_waited_behind_another_is_tried_as_often(site: Site, auth: Database, users: Database) -> None:
    """The day that an event waited for another one's end is no try of its own."""
    poison = Poison("bad", error=model.Unavailable())
    await happen(auth, "bad", 1)
    await happen(auth, "bad", 2)
    async with AsyncExitStack() as stack:
        await _deliver(site, auth, users, poison, stack)
        await eventually(_holds(users, parked=2, dead=0))
        async with users.connection() as connection:
            await connection.execute("UPDATE parked SET parked_at = now() - interval '25 hours'")
        await _hurry_until(users, _attempted(poison, limits.PARKED_ATTEMPTS + 2))
        assert await _holds(users, parked=1, dead=1)()
        poison.aggregates.clear()
        await _hurry_until(users, _equals(lambda: effects(users), [("bad", 2)]))


async def test_many_behind_one_hold_nobody_else_up(
    site: Site, auth: Database, users: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is due is found at once, however many wait behind something that is not."""
    await happen(auth, "bad", 1)
    poison = Poison("bad")
    async with AsyncExitStack() as stack:
        await _deliver(site, auth, users, poison, stack)
        await eventually(_holds(users, parked=1, dead=0))
    async with users.connection() as connection:
        await connection.execute(CROWD)
    monkeypatch.setattr(limits, "STATEMENT_TIMEOUT", 0.3)
    async with site.open_database("users") as database, site.open_bus("users") as into:
        consumer = Consumer(database, into, "users", noting(database))
        async with running(consumer.parking.run):
            await eventually(_equals(lambda: effects(users), [("bad", 1)]))


async def test_a_failing_handler_leaves_no_half_effect(site: Site, auth: Database, users: Database) -> None:
    """What a handler wrote before it failed is undone, each time."""

    async def write_then_fail(event: Received) -> None:
        async with users.connection() as connection:
            await connection.execute("INSERT INTO effects (event_id) VALUES ('half')")
        await poison(event)

    poison = Poison("a")
    await happen(auth, "a", 1)
    async with AsyncExitStack() as stack:
        await _deliver(site, auth, users, write_then_fail, stack)  # type: ignore[arg-type]
        await _hurry_until(users, _attempted(poison, 3))
        assert await effects(users) == []


async def test_an_unreadable_message_is_buried_at_once(site: Site, auth: Database, users: Database) -> None:
    """What is no event of the contract becomes a dead letter, and the next message is handled."""
    async with AsyncExitStack() as stack:
        out = await stack.enter_async_context(site.open_bus("auth"))
        await _deliver(site, auth, users, Poison(), stack)
        jetstream = (await out.client()).jetstream()
        await jetstream.publish("tulle.auth.account_created", b"\xffno envelope")
        await jetstream.publish("tulle.auth.account_created", b"")
        await jetstream.publish("tulle.auth.account_created", _with_a_nul())
        await happen(auth, "good", 1)
        await eventually(_equals(lambda: effects(users), [("good", 1)]))
        await eventually(_holds(users, parked=0, dead=3))
        letters = await _letters(users)
        assert [letter.readable for letter in letters] == [False, False, False]
        assert await _redriven(users, *letters) == 0


def _with_a_nul() -> bytes:
    """An envelope that protobuf knows and PostgreSQL refuses."""
    known: Any = {
        "event_id": "event_1",
        "type": "tulle.auth.v1.AccountCreated",
        "source": "auth",
        "resource": "account",
    }
    return event_pb2.Event(**known, aggregate_id="user_1\0", aggregate_seq=1).SerializeToString()


async def _letters(database: Database) -> list[pb.DeadLetter]:
    answer = await operator(database, "users").ListDeadLetters(pb.ListDeadLettersRequest())
    return list(answer.dead_letters)


async def _redriven(database: Database, *letters: pb.DeadLetter) -> int:
    request = pb.RedriveDeadLettersRequest(event_ids=[letter.event_id for letter in letters])
    answer = await operator(database, "users").RedriveDeadLetters(request)
    return int(answer.redriven)


def _equals(look: Callable[[], Awaitable[Any]], wanted: object) -> Callable[[], Awaitable[bool]]:
    async def equal() -> bool:
        return bool(await look() == wanted)

    return equal


def _holds(database: Database, parked: int, dead: int) -> Callable[[], Awaitable[bool]]:
    async def hold() -> bool:
        found = await operator(database, "users").GetBacklog(pb.GetBacklogRequest())
        return (found.parked, found.dead) == (parked, dead)

    return hold


def _attempted(poison: Poison, times: int) -> Callable[[], Awaitable[bool]]:
    async def attempted() -> bool:
        return poison.attempts >= times

    return attempted


async def _hurry_until(database: Database, true: Callable[[], Awaitable[bool]]) -> None:
    """Wait for `true` with all back-off skipped."""

    async def hurried() -> bool:
        async with database.connection() as connection:
            await connection.execute("UPDATE parked SET retry_at = now() WHERE dead_at IS NULL AND retry_at > now()")
        return await true()

    await eventually(hurried, seconds=30)
