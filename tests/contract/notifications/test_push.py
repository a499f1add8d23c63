"""What every store of endpoints and pushes promises; run against PostgreSQL and against the fake."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextvars import Context
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from mesh.model import UserId, new_id
from services.notifications.push.cleaning import clean_pushes
from services.notifications.push.domain import (
    Endpoint,
    EndpointTaken,
    Keys,
    Outcome,
    Push,
    State,
    Store,
    TooManyEndpoints,
)
from services.notifications.push.limits import PUSHES_KEPT
from services.notifications.push.store import PostgresPushes
from services.notifications.store import PostgresStore
from tests.fakes.push import FakePushes

ADA, BOB = UserId(new_id("user", 1)), UserId(new_id("user", 2))
NOW = datetime(2026, 11, 1, tzinfo=UTC)
LATER = NOW + timedelta(minutes=1)


@pytest.fixture
def pushes(store: object) -> Store:
    """Each store in turn, empty, beside the store of deliveries."""
    return PostgresPushes(store.database) if isinstance(store, PostgresStore) else FakePushes()


def endpoint(n: int, user: UserId = ADA) -> Endpoint:
    return Endpoint(new_id("endpoint", n), user, f"https://push.example.net/{n}", Keys(b"p", b"a"), NOW)


async def registered(pushes: Store, count: int, user: UserId = ADA) -> Sequence[Endpoint]:
    return [await pushes.register(endpoint(n, user), 10) for n in range(1, count + 1)]


async def claimed(pushes: Store, now: datetime = NOW) -> Push:
    push = await pushes.claim(now, now + timedelta(minutes=1))
    assert push
    return push


async def test_endpoints_are_kept(pushes: Store) -> None:
    """Each person has their own, oldest first."""
    made = await registered(pushes, 2)
    assert await pushes.endpoints(ADA) == made
    assert await pushes.endpoints(BOB) == []


async def test_the_same_url_is_the_same_endpoint(pushes: Store) -> None:
    """Registered again it has the newer keys, and counts once."""
    (first,) = await registered(pushes, 1)
    again = await pushes.register(replace(endpoint(1), endpoint_id=new_id("endpoint"), keys=Keys(b"q", b"b")), 1)
    assert again == replace(first, keys=Keys(b"q", b"b"))
    assert await pushes.endpoints(ADA) == [again]


async def test_a_url_belongs_to_one_person(pushes: Store) -> None:
    """Nobody takes over another's endpoint, nor its pushes."""
    (first,) = await registered(pushes, 1)
    with pytest.raises(EndpointTaken):
        await pushes.register(endpoint(1, BOB), 10)
    assert await pushes.endpoints(ADA) == [first]


async def test_endpoints_are_bounded(pushes: Store) -> None:
    """One too many is refused, also when several come at once."""
    made = await asyncio.gather(*(pushes.register(endpoint(n), 3) for n in range(1, 9)), return_exceptions=True)
    refused = [one for one in made if isinstance(one, TooManyEndpoints)]
    assert len(refused) == 5
    assert len(await pushes.endpoints(ADA)) == 3


async def test_only_the_owner_removes_an_endpoint(pushes: Store) -> None:
    """With an endpoint its waiting pushes go."""
    (first,) = await registered(pushes, 1)
    await pushes.add(ADA, "welcome", {}, 1, NOW)
    assert not await pushes.remove(BOB, first.endpoint_id)
    assert await pushes.remove(ADA, first.endpoint_id)
    assert not await pushes.remove(ADA, first.endpoint_id)
    assert await pushes.claim(NOW, LATER) is None


async def test_a_push_goes_to_each_endpoint_once(pushes: Store) -> None:
    """What is claimed is not claimed again, by whomever."""
    made = await registered(pushes, 3)
    await pushes.register(endpoint(9, BOB), 10)
    assert await pushes.add(ADA, "welcome", {"a": "b"}, 7, NOW) == 3
    got = await asyncio.gather(*(pushes.claim(NOW, LATER) for _ in range(5)))
    found = [one for one in got if one]
    assert {one.endpoint.endpoint_id for one in found} == {one.endpoint_id for one in made}
    assert {(one.kind, one.variables["a"], one.number, one.attempts) for one in found} == {("welcome", "b", 7, 1)}


async def test_what_waits_is_due_at_its_time(pushes: Store) -> None:
    """A push that is to be tried again is claimed then, and counts its attempts."""
    await registered(pushes, 1)
    await pushes.add(ADA, "welcome", {}, 1, NOW)
    await pushes.settle(await claimed(pushes), Outcome(State.WAITING, "503", LATER), NOW)
    assert await pushes.claim(NOW, LATER) is None
    assert (await claimed(pushes, LATER)).attempts == 2
    (kept,) = await pushes.endpoints(ADA)
    assert (kept.last_state, kept.last_time) == (State.WAITING, NOW)


@pytest.mark.parametrize("state", [State.SENT, State.FAILED, State.LOST])
async def test_what_is_settled_is_over(pushes: Store, state: State) -> None:
    """It is not tried again, and its endpoint says what came of it."""
    await registered(pushes, 1)
    await pushes.add(ADA, "welcome", {}, 1, NOW)
    await pushes.settle(await claimed(pushes), Outcome(state, "said"), LATER)
    assert await pushes.claim(LATER + timedelta(days=1), LATER) is None
    assert await pushes.sweep(LATER + timedelta(days=1)) == 0
    (kept,) = await pushes.endpoints(ADA)
    assert (kept.last_state, kept.last_time) == (state, LATER)


async def test_an_endpoint_that_is_gone_is_forgotten(pushes: Store) -> None:
    """With it whatever waits for it; others stay."""
    await registered(pushes, 2)
    await pushes.add(ADA, "welcome", {}, 1, NOW)
    await pushes.add(ADA, "welcome", {}, 2, NOW)
    first = await claimed(pushes)
    await pushes.settle(first, Outcome(State.GONE, "410"), NOW)
    (kept,) = await pushes.endpoints(ADA)
    assert kept.endpoint_id != first.endpoint.endpoint_id
    rest = [await pushes.claim(NOW, LATER) for _ in range(3)]
    assert [one and one.endpoint.endpoint_id for one in rest] == [kept.endpoint_id, kept.endpoint_id, None]


async def test_what_a_dead_courier_had_is_lost(pushes: Store) -> None:
    """Nobody knows whether it went out, so it does not go out again."""
    await registered(pushes, 1)
    await pushes.add(ADA, "welcome", {}, 1, NOW)
    push = await claimed(pushes)
    assert await pushes.sweep(NOW) == 0
    assert await pushes.sweep(LATER) == 1
    await pushes.settle(push, Outcome(State.WAITING, "late", LATER), LATER)
    assert await pushes.claim(LATER + timedelta(days=1), LATER) is None


async def test_an_attempt_is_settled_once(pushes: Store) -> None:
    """Said again while the next attempt is under way it changes nothing: nobody else is given that, or forgets it."""
    await registered(pushes, 1)
    await pushes.add(ADA, "welcome", {}, 1, NOW)
    first = await claimed(pushes)
    await pushes.settle(first, Outcome(State.WAITING, "503", LATER), NOW)
    second = await claimed(pushes, LATER)
    await pushes.settle(first, Outcome(State.WAITING, "503", LATER), LATER)
    assert await pushes.claim(LATER, LATER) is None
    await pushes.settle(second, Outcome(State.SENT, "201"), LATER)
    for stale in (Outcome(State.WAITING, "503", LATER), Outcome(State.GONE, "410")):
        await pushes.settle(first, stale, LATER)
    (kept,) = await pushes.endpoints(ADA)
    assert kept.last_state is State.SENT


async def test_settling_and_removing_do_not_wait_for_each_other(store: object) -> None:
    """Both lock the endpoint first: who waits for that holds no push, and neither is sent away for a deadlock."""
    if not isinstance(store, PostgresStore):
        pytest.skip("about the real store")
    pushes, database = PostgresPushes(store.database), store.database
    await registered(pushes, 1)
    await pushes.add(ADA, "welcome", {}, 1, NOW)
    push = await claimed(pushes)
    async with database.transaction() as connection:
        await connection.execute("SELECT FROM push_endpoints FOR UPDATE")
        settling = asyncio.create_task(pushes.settle(push, Outcome(State.SENT, "201"), NOW), context=Context())
        for _ in range(1000):
            if await connection.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
                break
            await asyncio.sleep(0.01)
        assert await connection.fetch("SELECT push_id FROM pushes FOR UPDATE SKIP LOCKED")
    await settling
    (kept,) = await pushes.endpoints(ADA)
    assert kept.last_state is State.SENT


async def test_old_pushes_go(store: object) -> None:
    """After PUSHES_KEPT a push is forgotten."""
    if not isinstance(store, PostgresStore):
        pytest.skip("about the real store")
    pushes = PostgresPushes(store.database)
    await registered(pushes, 2)
    await pushes.add(ADA, "welcome", {}, 1, NOW)
    async with store.database.connection() as connection:
        assert await clean_pushes(connection, NOW) == 0
        assert await clean_pushes(connection, NOW + timedelta(seconds=PUSHES_KEPT + 1)) == 2
