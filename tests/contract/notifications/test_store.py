"""What every store of deliveries promises."""

from __future__ import annotations

import asyncio
from contextvars import Context
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from mesh.model import UserId
from services.notifications.domain.deliveries import Delivery, Outcome, Reason, State, Store
from services.notifications.store import PostgresStore

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
LEASE = NOW + timedelta(seconds=30)
ADA = UserId("user_ada")


def delivery(name: str, *, repeatable: bool = True, after: float = 0.0) -> Delivery:
    """A delivery that is due so many seconds from NOW."""
    return Delivery(
        delivery_id=f"delivery_{name}",
        event_id=f"event_{name}",
        user_id=ADA,
        kind="reset",
        variables={"token": name},
        repeatable=repeatable,
        create_time=NOW,
        not_before=NOW + timedelta(seconds=after),
    )


async def claimed(store: Store, now: datetime = NOW) -> Delivery:
    """The delivery that is due."""
    found = await store.claim(now, max(now, LEASE))
    assert found
    return found


async def test_what_is_kept_comes_back_as_it_was(store: Store) -> None:
    """Every field of it."""
    held = replace(delivery("1"), held_until=LEASE)
    await store.add(held)
    assert list(await store.list_deliveries(ADA, "", "", 10)) == [held]


async def test_an_event_that_comes_twice_tells_nobody_twice(store: Store) -> None:
    """The first one counts, whatever id the second has, and says that it came again; another way is another."""
    assert await store.add(delivery("1"))
    assert not await store.add(replace(delivery("1"), delivery_id="delivery_2"))
    assert await store.add(replace(delivery("1"), delivery_id="delivery_3", channel="push"))
    found = await store.list_deliveries("", "event_1", "", 10)
    assert [(one.delivery_id, one.repeats) for one in found] == [("delivery_3", 0), ("delivery_1", 1)]


async def test_the_one_that_waits_longest_is_claimed_first(store: Store) -> None:
    """Nothing is claimed before its time, nor twice."""
    for name, after in (("1", 0.0), ("2", -5.0), ("3", 60.0)):
        await store.add(delivery(name, after=after))
    claimed = [await store.claim(NOW, LEASE) for _ in range(3)]
    assert [one and one.delivery_id for one in claimed] == ["delivery_2", "delivery_1", None]
    assert claimed[0] is not None
    assert (claimed[0].state, claimed[0].attempts) == (State.SENDING, 1)


async def test_many_claim_different_ones(store: Store) -> None:
    """Who claims at the same time gets another one each."""
    for number in range(8):
        await store.add(delivery(str(number)))
    claimed = await asyncio.gather(*(store.claim(NOW, LEASE) for _ in range(8)))
    assert len({one.delivery_id for one in claimed if one}) == 8


async def test_a_lease_that_ran_out_is_claimed_again_if_it_may_be_repeated(store: Store) -> None:
    """What may not is given up as lost, once."""
    await store.add(delivery("1"))
    await store.add(delivery("2", repeatable=False))
    for _ in range(2):
        await store.claim(NOW, LEASE)
    assert await store.claim(LEASE - timedelta(seconds=1), LEASE) is None
    assert [await store.sweep(LEASE), await store.sweep(LEASE)] == [1, 0]
    again = await store.claim(LEASE, LEASE + timedelta(seconds=30))
    assert again is not None
    assert (again.delivery_id, again.attempts) == ("delivery_1", 2)
    (lost,) = await store.list_deliveries("", "event_2", "", 10)
    assert (lost.state, lost.reason, lost.done_time) == (State.LOST, Reason.UNCLEAR, LEASE)


async def test_an_outcome_is_kept(store: Store) -> None:
    """What waits has a time and no end; what is done has an end and is not claimed again."""
    await store.add(delivery("1"))
    later = NOW + timedelta(seconds=9)
    await store.settle(await claimed(store), Outcome(State.WAITING, Reason.UNAVAILABLE, later), NOW)
    (found,) = await store.list_deliveries(ADA, "", "", 10)
    assert (found.state, found.reason, found.not_before, found.done_time) == (
        State.WAITING,
        Reason.UNAVAILABLE,
        later,
        None,
    )
    await store.settle(await claimed(store, later), Outcome(State.SENT), later)
    (found,) = await store.list_deliveries(ADA, "", "", 10)
    assert (found.state, found.reason, found.done_time) == (State.SENT, Reason.NONE, later)
    assert await store.claim(LEASE + timedelta(days=1), LEASE) is None


async def test_an_attempt_is_settled_once(store: Store) -> None:
    """Said again it changes nothing, also if the delivery waits or goes out again by then."""
    await store.add(delivery("1"))
    first = await claimed(store)
    for _ in range(2):
        await store.settle(first, Outcome(State.WAITING, Reason.UNAVAILABLE, LEASE), NOW)
    second = await claimed(store, LEASE)
    await store.settle(first, Outcome(State.SENT), LEASE)
    (found,) = await store.list_deliveries(ADA, "", "", 10)
    assert (found.state, found.attempts, len(found.history)) == (State.SENDING, 2, 1)
    await store.settle(second, Outcome(State.WITHHELD, Reason.NOBODY), LEASE)
    await store.collect(second, HELD, DIGEST, LEASE)
    (found,) = await store.list_deliveries(ADA, "event_1", "", 10)
    assert (found.state, found.reason, found.digest_id) == (State.WITHHELD, Reason.NOBODY, None)


async def test_an_event_that_comes_again_meanwhile_changes_no_outcome(store: Store) -> None:
    """Whoever settles waits for it, and then keeps what came of the delivery all the same."""
    if not isinstance(store, PostgresStore):
        pytest.skip("about the real store")
    await store.add(delivery("1"))
    going = await claimed(store)
    async with store.database.transaction() as connection:
        await store.add(replace(delivery("1"), delivery_id="delivery_2"))
        settling = asyncio.create_task(store.settle(going, Outcome(State.SENT), NOW), context=Context())
        for _ in range(1000):
            if await connection.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
                break
            await asyncio.sleep(0.01)
    await settling
    (found,) = await store.list_deliveries(ADA, "", "", 10)
    assert (found.state, found.repeats) == (State.SENT, 1)


async def test_a_crowd_is_of_one_kind_to_one_address_in_one_time(store: Store) -> None:
    """Those that went out or are going count; oneself, other kinds, other addresses and earlier ones do not."""
    going = []
    for number in range(5):
        await store.add(delivery(str(number)))
        going.append(await claimed(store))
    for number, (kind, recipient) in enumerate((("reset", "a"), ("reset", "a"), ("verify", "a"), ("reset", "b"))):
        await store.crowd(f"delivery_{number}", kind, ADA, recipient, NOW)
    await store.settle(going[0], Outcome(State.SENT), NOW)
    assert await store.crowd("delivery_4", "reset", ADA, "a", NOW) == 2
    assert await store.crowd("delivery_4", "reset", ADA, "a", NOW + timedelta(seconds=1)) == 0
    await store.settle(going[1], Outcome(State.WITHHELD, Reason.THROTTLED), NOW)
    assert await store.crowd("delivery_4", "reset", ADA, "a", NOW) == 1


async def test_deliveries_are_found_newest_first(store: Store) -> None:
    """By person, event or kind, no more than was asked for."""
    for number in range(4):
        await store.add(delivery(str(number)))
    found = await store.list_deliveries(ADA, "", "reset", 3)
    assert [one.delivery_id for one in found] == ["delivery_3", "delivery_2", "delivery_1"]
    assert not await store.list_deliveries("user_bob", "", "", 3)
    assert not await store.list_deliveries("", "", "verify", 3)


DIGEST = Delivery(
    delivery_id="delivery_0",
    event_id="billing_digest:2026-01-03T08:00Z",
    user_id=ADA,
    kind="billing_digest",
    repeatable=False,
    create_time=NOW,
    not_before=NOW + timedelta(hours=1),
)
HELD = Outcome(State.WAITING, Reason.DIGEST, DIGEST.not_before, "billing_digest")


async def collect(store: Store, *names: str) -> None:
    for name in names:
        await store.add(delivery(name))
        await store.collect(await claimed(store), HELD, replace(DIGEST, delivery_id=f"delivery_0{name}"), NOW)


async def test_a_digest_collects(store: Store) -> None:
    """What it collects is not due by itself, and comes to what the digest comes to."""
    await collect(store, "1", "2")
    (digest,) = await store.list_deliveries(ADA, DIGEST.event_id, "", 10)
    assert [one.delivery_id for one in await store.collected(digest.delivery_id)] == ["delivery_1", "delivery_2"]
    due = DIGEST.not_before
    going = await claimed(store, due)
    assert (going.delivery_id, await store.claim(due, LEASE)) == (digest.delivery_id, None)
    await store.settle(going, Outcome(State.SENT), due)
    for one in await store.collected(digest.delivery_id):
        assert (one.state, one.done_time, one.held_until) == (State.SENT, due, due)
        assert [step.reason for step in one.history] == [Reason.DIGEST, Reason.NONE]


async def test_a_digest_that_is_on_its_way_has_no_room(store: Store) -> None:
    """Who comes late is due at its time, which is past, and is judged again."""
    await collect(store, "1")
    due = DIGEST.not_before
    await store.claim(due, due + timedelta(seconds=30))
    await collect(store, "2")
    (late,) = await store.list_deliveries("", "event_2", "", 10)
    assert (late.digest_id, late.state, late.not_before) == (None, State.WAITING, due)
    again = await store.claim(due, due + timedelta(seconds=30))
    assert again
    assert again.delivery_id == "delivery_2"


async def test_what_is_given_up_makes_no_digest(store: Store) -> None:
    """Whose sender comes back after its lease ran out is in none, nor is there one with nothing in it."""
    await store.add(delivery("1", repeatable=False))
    late = await claimed(store)
    assert await store.sweep(LEASE) == 1
    await store.collect(late, HELD, DIGEST, LEASE)
    (found,) = await store.list_deliveries(ADA, "", "", 10)
    assert (found.delivery_id, found.state) == ("delivery_1", State.LOST)
    assert await store.claim(DIGEST.not_before, LEASE) is None


async def test_a_lost_digest_takes_what_it_collects_along(store: Store) -> None:
    """One is counted, all are lost."""
    await collect(store, "1", "2")
    due = DIGEST.not_before
    await store.claim(due, due)
    assert await store.sweep(due) == 1
    assert {one.state for one in await store.list_deliveries(ADA, "", "", 10)} == {State.LOST}
    (lost,) = await store.list_deliveries("", "event_1", "", 10)
    assert (lost.history[-1].state, lost.history[-1].reason) == (State.LOST, Reason.UNCLEAR)


async def test_many_join_one_digest_at_once(store: Store) -> None:
    """Whoever is first makes it, and nobody is left out or alone."""
    names = [str(number) for number in range(1, 7)]
    for name in names:
        await store.add(delivery(name))
    going = [await claimed(store) for _ in names]
    digests = [replace(DIGEST, delivery_id=f"delivery_0{name}") for name in names]
    await asyncio.gather(*(store.collect(one, HELD, digest, NOW) for one, digest in zip(going, digests, strict=True)))
    (digest,) = await store.list_deliveries(ADA, DIGEST.event_id, "", 10)
    assert len(await store.collected(digest.delivery_id)) == len(names)


async def test_what_one_was_told_is_counted(store: Store) -> None:
    """Others of these kinds that went the same way since then, or are going; what a digest collects is one with it."""
    await collect(store, "1", "2")
    going = await claimed(store, DIGEST.not_before)
    kinds = ["reset", "billing_digest"]
    assert await store.told(delivery("9"), kinds, NOW) == 1
    (digest,) = await store.list_deliveries(ADA, DIGEST.event_id, "", 10)
    await store.settle(going, Outcome(State.SENT), DIGEST.not_before)
    assert await store.told(delivery("9"), kinds, DIGEST.not_before) == 1
    for other in (replace(delivery("9"), channel="push"), replace(delivery("9"), user_id=UserId("user_bob")), digest):
        assert await store.told(other, kinds, NOW) == 0
    assert await store.told(delivery("9"), kinds, DIGEST.not_before + timedelta(seconds=1)) == 0
    assert await store.told(delivery("9"), ["verify"], NOW) == 0


async def test_the_same_again_is_one_decision(store: Store) -> None:
    """The history says when it was last so, and grows with what differs only."""
    await store.add(delivery("1"))
    for second in range(3):
        now = NOW + timedelta(seconds=second)
        again = now + timedelta(seconds=1)
        await store.settle(await claimed(store, now), Outcome(State.WAITING, Reason.UNAVAILABLE, again), now)
    await store.settle(await claimed(store, LEASE), Outcome(State.SENT), LEASE)
    (found,) = await store.list_deliveries(ADA, "", "", 10)
    assert [(one.time, one.state, one.reason, one.until) for one in found.history] == [
        (NOW + timedelta(seconds=2), State.WAITING, Reason.UNAVAILABLE, NOW + timedelta(seconds=3)),
        (LEASE, State.SENT, Reason.NONE, None),
    ]


async def test_an_address_is_suppressed_until_security_arrives_there(store: Store) -> None:
    """Noted twice is noted; others are not. What went elsewhere, was withheld or is not repeatable says nothing."""
    for _ in range(2):
        await store.suppress("a", NOW)
    assert (await store.suppressed("a"), await store.suppressed("b")) == (True, False)
    for name, repeatable, recipient, state in (
        ("1", True, "b", State.SENT),
        ("2", True, "a", State.WITHHELD),
        ("3", False, "a", State.SENT),
    ):
        await arrive(store, delivery(name, repeatable=repeatable), recipient, state)
        assert await store.suppressed("a")
    await arrive(store, delivery("4"), "a", State.SENT)
    assert not await store.suppressed("a")


async def arrive(store: Store, sent: Delivery, recipient: str, state: State) -> None:
    await store.add(sent)
    going = await claimed(store)
    await store.crowd(going.delivery_id, going.kind, ADA, recipient, NOW)
    await store.settle(going, Outcome(state), NOW)
