"""From the commit to the effect, while nothing fails."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from tulle.auth.v1 import events_pb2
from tulle.event.v1 import operations_pb2 as pb

from infra.events.consumer import Consumer
from infra.events.relay import Relay
from infra.postgres import Database
from mesh.contract import contract
from tests.integration.events.conftest import Site, eventually, operator, running
from tests.integration.events.story import AccountCreated, RolesChanged, count, effects, happen, histories, noting

UNPUBLISHED = "SELECT count(*) FROM outbox WHERE published_at IS NULL"


async def test_a_committed_event_has_its_effect_at_once(site: Site, auth: Database, users: Database) -> None:
    """The relay wakes after the commit: nobody waits for a poll."""
    async with site.open_bus("auth") as out, site.open_bus("users") as into:
        relay, consumer = Relay(auth, out, "auth"), Consumer(users, into, "users", noting(users))
        async with running(relay.run, consumer.run):
            await happen(auth, "first", 1)
            await eventually(lambda: effects(users))
            began = datetime.now(UTC)
            await happen(auth, "second", 1)
            await eventually(lambda: _has(users, ("second", 1)))
    assert datetime.now(UTC) - began < timedelta(seconds=0.9)


async def test_a_rolled_back_event_is_never_published(site: Site, auth: Database) -> None:
    """What is not committed was never there."""
    with pytest.raises(ZeroDivisionError):
        async with auth.transaction():
            await happen(auth, "a", 1)
            raise ZeroDivisionError
    assert await count(auth, "SELECT count(*) FROM outbox") == 0


async def test_each_aggregate_keeps_its_order(site: Site, auth: Database, users: Database) -> None:
    """Effects of one aggregate come in the order of its history, events between that nobody consumes included."""
    for seq in range(1, 31):
        for aggregate in ("a", "b", "c"):
            await happen(auth, aggregate, seq, RolesChanged if seq % 3 == 0 else AccountCreated)
    wanted = [seq for seq in range(1, 31) if seq % 3]
    async with site.open_bus("auth") as out, site.open_bus("users") as into:
        relay, consumer = Relay(auth, out, "auth"), Consumer(users, into, "users", noting(users))
        async with running(relay.run, consumer.run):
            await eventually(lambda: _reached(users, 3 * len(wanted)))
    assert histories(await effects(users)) == {"a": wanted, "b": wanted, "c": wanted}


async def test_two_relays_and_two_consumers_share_the_work(site: Site, auth: Database, users: Database) -> None:
    """Replicas neither repeat nor reorder."""
    for seq in range(1, 21):
        for aggregate in range(10):
            await happen(auth, f"a{aggregate}", seq)
    async with (
        site.open_bus("auth") as out1,
        site.open_bus("auth") as out2,
        site.open_bus("users") as in1,
        site.open_bus("users") as in2,
    ):
        relays = [Relay(auth, bus, "auth").run for bus in (out1, out2)]
        consumers = [Consumer(users, bus, "users", noting(users)).run for bus in (in1, in2)]
        async with running(*relays, *consumers):
            await eventually(lambda: _reached(users, 200))
    assert histories(await effects(users)) == {f"a{n}": list(range(1, 21)) for n in range(10)}


async def test_a_timer_waits_for_its_time_and_holds_nobody_up(site: Site, auth: Database, users: Database) -> None:
    """An event with a time in the future is published then; those after it do not wait."""
    due = datetime.now(UTC) + timedelta(seconds=1.5)
    await happen(auth, "a", 1, publish_at=due)
    await happen(auth, "a", 2)
    async with site.open_bus("auth") as out, site.open_bus("users") as into:
        relay, consumer = Relay(auth, out, "auth"), Consumer(users, into, "users", noting(users))
        async with running(relay.run, consumer.run):
            await eventually(lambda: _has(users, ("a", 2)))
            assert datetime.now(UTC) < due
            await eventually(lambda: _has(users, ("a", 1)))
    assert timedelta(0) <= datetime.now(UTC) - due < timedelta(seconds=0.5)


async def republished(database: Database) -> int:
    """How many events of auth will be published again."""
    now, since, until = datetime.now(UTC), Timestamp(), Timestamp()
    since.FromDatetime(now - timedelta(minutes=1))
    until.FromDatetime(now)
    answer = await operator(database, "auth").RepublishEvents(pb.RepublishEventsRequest(since=since, until=until))
    return int(answer.republished)


async def test_a_replay_has_no_effect(site: Site, auth: Database, users: Database) -> None:
    """What was published once more is known to the inbox."""
    for seq in range(1, 6):
        await happen(auth, "a", seq)
    async with site.open_bus("auth") as out, site.open_bus("users") as into:
        relay, consumer = Relay(auth, out, "auth"), Consumer(users, into, "users", noting(users))
        async with running(relay.run, consumer.run):
            await eventually(lambda: _reached(users, 5))
            assert await republished(auth) == 5
            relay.wake()
            await eventually(lambda: _is_zero(auth, UNPUBLISHED))
            await happen(auth, "z", 1)
            await eventually(lambda: _has(users, ("z", 1)))
    assert histories(await effects(users)) == {"a": [1, 2, 3, 4, 5], "z": [1]}


async def test_subscriptions_are_those_of_the_contract(site: Site, users: Database) -> None:
    """A consumer that handles more or less than the contract says does not start."""
    subscriptions = {events_pb2.RolesChanged: noting(users)[events_pb2.AccountCreated]}
    async with site.open_bus("users") as bus:
        with pytest.raises(ValueError, match=r"AccountCreated.*RolesChanged"):
            Consumer(users, bus, "users", subscriptions, contract())


async def _has(database: Database, effect: tuple[str, int]) -> bool:
    return effect in await effects(database)


async def _reached(database: Database, number: int) -> bool:
    return len(await effects(database)) >= number


async def _is_zero(database: Database, query: str) -> bool:
    return await count(database, query) == 0
