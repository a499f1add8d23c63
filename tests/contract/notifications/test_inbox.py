"""What every store of inboxes promises; run against PostgreSQL and against the fake."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from mesh.model import UserId, new_id
from services.notifications.inbox.cleaning import clean_inboxes
from services.notifications.inbox.domain import State, Store
from services.notifications.inbox.limits import MESSAGES_KEPT
from services.notifications.inbox.store import PostgresInboxes
from services.notifications.store import PostgresStore
from tests.fakes.inbox import FakeInboxes

ADA, BOB = UserId(new_id("user", 1)), UserId(new_id("user", 2))
NOW = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.fixture
def inboxes(store: object) -> Store:
    """Each store of inboxes in turn, empty, beside the store of deliveries."""
    return PostgresInboxes(store.database) if isinstance(store, PostgresStore) else FakeInboxes()


async def tell(inboxes: Store, count: int, user: UserId = ADA, most: int = 100) -> list[int]:
    return [await inboxes.add(user, "welcome", {"n": str(n)}, NOW, most) for n in range(count)]


async def test_numbers_have_no_gap_and_are_each_person_s(inboxes: Store) -> None:
    """Messages are numbered from 1 for each person; what was said is kept."""
    assert await tell(inboxes, 3) == [1, 2, 3]
    assert await tell(inboxes, 1, BOB) == [1]
    (first, *_) = await inboxes.after(ADA, 0, 10)
    assert (first.number, first.kind, first.variables, first.create_time) == (1, "welcome", {"n": "0"}, NOW)
    assert first.read_time is None


async def test_numbers_hold_when_many_tell_at_once(inboxes: Store) -> None:
    """Whoever tells at the same time gets a number of their own."""
    told = await asyncio.gather(*(tell(inboxes, 5) for _ in range(8)))
    assert sorted(number for numbers in told for number in numbers) == list(range(1, 41))


async def test_pages_go_backwards_and_watchers_forwards(inboxes: Store) -> None:
    """A page has the newest below a number, a watcher the oldest above one."""
    await tell(inboxes, 5)
    assert [one.number for one in await inboxes.page(ADA, 0, 2, unread_only=False)] == [5, 4]
    assert [one.number for one in await inboxes.page(ADA, 4, 2, unread_only=False)] == [3, 2]
    assert [one.number for one in await inboxes.after(ADA, 2, 2)] == [3, 4]
    assert await inboxes.after(ADA, 5, 2) == []
    assert await inboxes.page(BOB, 0, 2, unread_only=False) == []


async def test_the_oldest_goes_when_there_are_too_many(inboxes: Store) -> None:
    """Somebody's inbox keeps its newest messages; numbers go on."""
    await tell(inboxes, 5, most=3)
    await tell(inboxes, 1, BOB)
    assert [one.number for one in await inboxes.after(ADA, 0, 10)] == [3, 4, 5]
    assert (await inboxes.state(ADA)).number == 5
    assert (await inboxes.state(BOB)).unread == 1


async def test_what_is_read_is_no_longer_unread(inboxes: Store) -> None:
    """Some or all up to one are marked, once, and only the reader's own."""
    await tell(inboxes, 5)
    await tell(inboxes, 2, BOB)
    assert await inboxes.mark_read(ADA, [5, 99], 2, NOW) == 3
    assert await inboxes.mark_read(ADA, [5], 2, NOW + timedelta(days=1)) == 0
    assert [one.number for one in await inboxes.page(ADA, 0, 9, unread_only=True)] == [4, 3]
    (newest, *_) = await inboxes.page(ADA, 0, 9, unread_only=False)
    assert newest.read_time == NOW
    assert (await inboxes.state(ADA)).unread == 2
    assert (await inboxes.state(BOB)).unread == 2


async def test_each_change_has_a_version(inboxes: Store) -> None:
    """A watcher learns of any change, and of nothing that changed nothing, by one number."""
    assert await inboxes.state(ADA) == State()
    await tell(inboxes, 2)
    assert await inboxes.versions([ADA, BOB]) == {ADA: 2}
    await inboxes.mark_read(ADA, [1], 0, NOW)
    assert await inboxes.state(ADA) == State(number=2, version=3, unread=1)
    await inboxes.mark_read(ADA, [1], 0, NOW)
    await inboxes.mark_read(BOB, [1], 9, NOW)
    assert await inboxes.versions([ADA, BOB]) == {ADA: 3}


@pytest.fixture
async def real(store: object) -> AsyncIterator[PostgresInboxes]:
    if not isinstance(store, PostgresStore):
        pytest.skip("about transactions, which only the real store has")
    yield PostgresInboxes(store.database)


async def test_a_number_is_seen_after_all_before_it(real: PostgresInboxes) -> None:
    """Who sees a message has seen those before it: a later one waits for one that is not committed yet."""
    begun, done = asyncio.Event(), asyncio.Event()

    async def slow() -> None:
        async with real.database.transaction():
            await tell(real, 1)
            begun.set()
            await done.wait()

    first = asyncio.create_task(slow())
    await begun.wait()
    second = asyncio.create_task(tell(real, 1))
    await asyncio.sleep(0.1)
    assert not second.done()
    assert await real.after(ADA, 0, 10) == []
    done.set()
    await first
    assert await second == [2]
    assert [one.number for one in await real.after(ADA, 0, 10)] == [1, 2]


async def test_old_messages_go(real: PostgresInboxes) -> None:
    """After MESSAGES_KEPT a message is forgotten, in batches."""
    await tell(real, 3)
    await real.add(ADA, "welcome", {}, NOW + timedelta(days=1), 100)
    async with real.database.connection() as connection:
        assert await clean_inboxes(connection, NOW + timedelta(seconds=MESSAGES_KEPT + 1)) == 3
    assert [one.number for one in await real.after(ADA, 0, 10)] == [4]
