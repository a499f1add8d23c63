"""What an operator is told of events, and what comes of what they ask for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from tulle.event.v1 import operations_pb2 as pb

from infra import limits
from infra.events.backlog import Backlogs
from infra.events.bus import Bus
from infra.events.consumer import Consumer
from infra.events.relay import Relay
from infra.postgres import Database
from mesh.model import Denied
from tests.integration.events.conftest import Site, eventually, operator, running
from tests.integration.events.story import count, effects, happen, histories, noting


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Work is done in batches that are smaller than what is to be done."""
    monkeypatch.setattr(limits, "REPLAY_BATCH", 2)
    yield 2


async def _site(site: Site, auth: Database, users: Database, stack: AsyncExitStack) -> tuple[Relay, Bus]:
    out = await stack.enter_async_context(site.open_bus("auth"))
    into = await stack.enter_async_context(site.open_bus("users"))
    relay = Relay(auth, out, "auth")
    await stack.enter_async_context(running(relay.run, Consumer(users, into, "users", noting(users)).run))
    return relay, into


async def _has(users: Database, number: int) -> bool:
    return len(await effects(users)) == number


def _stretch() -> dict[str, Any]:
    since, until = Timestamp(), Timestamp()
    since.FromDatetime(datetime.now(UTC) - timedelta(minutes=1))
    until.FromDatetime(datetime.now(UTC) + timedelta(seconds=1))
    return {"since": since, "until": until}


async def test_a_backlog_says_what_waits_and_since_when(auth: Database) -> None:
    """What is due is told apart from timers; an absent broker hides nothing of the database."""
    await happen(auth, "a", 1)
    await happen(auth, "b", 1, publish_at=datetime.now(UTC) + timedelta(hours=1))
    found = await operator(auth, "auth").GetBacklog(pb.GetBacklogRequest())
    assert (found.unpublished, found.timers, found.broker_answers) == (1, 1, False)
    assert abs(found.unpublished_since.ToDatetime(UTC) - datetime.now(UTC)) < timedelta(seconds=30)
    assert timedelta(minutes=59) < found.next_timer_time.ToDatetime(UTC) - datetime.now(UTC) < timedelta(minutes=61)


async def test_a_backlog_says_what_the_broker_holds(site: Site, auth: Database, users: Database) -> None:
    """The producer's stream has a size, the consumer's lag a number: what came while nobody consumed."""
    async with site.open_bus("auth") as out, site.open_bus("users") as into:
        async with running(Relay(auth, out, "auth").run):
            for seq in (1, 2, 3):
                await happen(auth, "a", seq)

            async def lag() -> bool:
                told = await Backlogs(users, into, "users").now()
                return [one.waiting for one in told.consumers if one.name == "users-account_created"] == [3]

            await eventually(lag)
        told = await Backlogs(auth, out, "auth").now()
    assert (told.stream.name, told.stream.messages) == ("TULLE_AUTH", 3)
    assert 0 < told.stream.bytes < told.stream.max_bytes


async def test_an_event_s_life_is_told_by_both_sides(site: Site, auth: Database, users: Database) -> None:
    """The producer knows when the broker took it, the consumer when its effect was made; a stranger is unknown."""
    event_id = await happen(auth, "a", 1)
    async with AsyncExitStack() as stack:
        await _site(site, auth, users, stack)
        await eventually(lambda: _has(users, 1))
        request = pb.GetEventLifeRequest(event_id=event_id)
        await eventually(lambda: _published(auth, request))
    produced = await operator(auth, "auth").GetEventLife(request)
    consumed = await operator(users, "users").GetEventLife(request)
    assert (produced.published.event.aggregate_id, produced.published.stream_seq) == ("a", 1)
    assert not produced.HasField("consumed")
    assert consumed.consumed.done
    assert not consumed.HasField("published")
    unknown = await operator(auth, "auth").GetEventLife(pb.GetEventLifeRequest(event_id="event_x"))
    assert unknown == pb.EventLife()


async def _published(auth: Database, request: pb.GetEventLifeRequest) -> bool:
    life: pb.EventLife = await operator(auth, "auth").GetEventLife(request)
    return bool(life.published.HasField("published_time"))


async def test_events_are_listed_newest_first_a_page_at_a_time(auth: Database) -> None:
    """Pages follow each other without a gap; those of one thing are found by its id."""
    ids = [await happen(auth, "a" if seq < 4 else "b", seq) for seq in range(1, 6)]
    first = await operator(auth, "auth").ListEvents(pb.ListEventsRequest(page_size=3))
    rest = await operator(auth, "auth").ListEvents(pb.ListEventsRequest(page_token=first.next_page_token))
    assert sorted(one.event.event_id for one in (*first.events, *rest.events)) == sorted(ids)
    assert first.events[0].event.event_id == max(ids)
    assert rest.next_page_token == ""
    about_b = await operator(auth, "auth").ListEvents(pb.ListEventsRequest(aggregate_id="b"))
    assert {one.event.aggregate_id for one in about_b.events} == {"b"}
    assert len(about_b.events) == 2


@pytest.mark.usefixtures("batches")
async def test_what_a_consumer_forgets_has_its_effect_once_more(site: Site, auth: Database, users: Database) -> None:
    """A replay for a consumer that forgot, batch by batch, makes each effect anew, in order."""
    for seq in range(1, 6):
        await happen(auth, "a", seq)
    async with AsyncExitStack() as stack:
        relay, _ = await _site(site, auth, users, stack)
        await eventually(lambda: _has(users, 5))
        stretch = _stretch()
        forget, again = pb.ForgetEventsRequest(source="auth", **stretch), pb.RepublishEventsRequest(**stretch)
        batches = [await operator(users, "users").ForgetEvents(forget) for _ in range(4)]
        assert [batch.forgotten for batch in batches] == [2, 2, 1, 0]
        while (await operator(auth, "auth").RepublishEvents(again)).republished:
            pass
        relay.wake()
        await eventually(lambda: _has(users, 10))
    assert histories(await effects(users)) == {"a": [1, 2, 3, 4, 5] * 2}


@pytest.mark.usefixtures("batches")
async def test_a_replay_ends_whatever_the_clocks_say(site: Site, auth: Database, users: Database) -> None:
    """An operator whose clock is ahead of the database's has each event published again once."""
    for seq in range(1, 6):
        await happen(auth, "a", seq)
    async with AsyncExitStack() as stack:
        relay, _ = await _site(site, auth, users, stack)
        await eventually(lambda: _has(users, 5))
        request = pb.RepublishEventsRequest(**_stretch())
        request.until.FromDatetime(datetime.now(UTC) + timedelta(minutes=5))
        batches: list[int] = []
        while not batches or request.page_token:
            page = await operator(auth, "auth").RepublishEvents(request)
            batches.append(page.republished)
            request.page_token = page.next_page_token
            relay.wake()
            await eventually(lambda: _none_waits(auth))
    assert batches == [2, 2, 1]
    assert await count(auth, "SELECT max(replays) FROM outbox") == 1


async def _none_waits(database: Database) -> bool:
    return await count(database, "SELECT count(*) FROM outbox WHERE published_at IS NULL") == 0


async def test_only_the_operator_is_answered(auth: Database) -> None:
    """Another workload, whichever it is, learns nothing."""
    stranger = operator(auth, "auth", caller="users")
    with pytest.raises(Denied):
        await stranger.GetBacklog(pb.GetBacklogRequest())
