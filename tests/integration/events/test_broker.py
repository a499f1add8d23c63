"""What the broker permits, and that nothing is lost or repeated when it goes away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

import nats.errors
import pytest
from nats.aio.client import Client
from nats.js import api
from tulle.event.v1 import event_pb2
from tulle.event.v1 import operations_pb2 as pb

from infra import limits
from infra.events import streams
from infra.events.bus import Bus, connect, last_sequence, open_bus, provision
from infra.events.consumer import Consumer
from infra.events.relay import Relay
from infra.postgres import Database
from mesh import model
from mesh.contract import contract
from tests.integration.events.conftest import Site, eventually, operator, running
from tests.integration.events.story import count, effects, happen, histories, noting
from tests.servers import PASSWORD

SLOW_UPDATES = """
CREATE FUNCTION slowly() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.05); RETURN NEW; END $$;
CREATE TRIGGER slowly BEFORE UPDATE ON outbox FOR EACH ROW WHEN (NEW.published_at IS NULL) EXECUTE FUNCTION slowly();
"""
ALLOWED = [("auth", "tulle.auth.account_created"), ("users", "tulle.users.profile_updated")]
REFUSED = [
    ("users", "tulle.auth.account_created"),
    ("users", "tulle.users.made_up"),
    ("auth", "tulle.users.profile_updated"),
    ("users", "$JS.API.STREAM.CREATE.TULLE_USERS"),
    ("users", "$JS.API.STREAM.UPDATE.TULLE_USERS"),
    ("users", "$JS.API.STREAM.DELETE.TULLE_AUTH"),
    ("users", "$JS.API.STREAM.PURGE.TULLE_USERS"),
    ("users", "$JS.API.STREAM.MSG.GET.TULLE_AUTH"),
    ("users", "$JS.API.DIRECT.GET.TULLE_AUTH"),
    ("users", "$JS.API.CONSUMER.CREATE.TULLE_AUTH.users-account_created"),
    ("users", "$JS.API.CONSUMER.CREATE.TULLE_AUTH.x.tulle.auth.mail_requested"),
    ("users", "$JS.API.CONSUMER.DURABLE.CREATE.TULLE_AUTH.x"),
    ("users", "$JS.API.CONSUMER.DELETE.TULLE_AUTH.users-account_created"),
    ("users", "$JS.API.CONSUMER.MSG.NEXT.TULLE_AUTH.auth-mail_requested"),
    ("auth", "$JS.ACK.TULLE_AUTH.users-account_created.1.1.1.1.1"),
    ("users", "_INBOX.auth.x"),
    ("users", "anything"),
]


@pytest.mark.parametrize(("workload", "subject"), ALLOWED)
async def test_a_workload_publishes_its_own_events(site: Site, workload: str, subject: str) -> None:
    """The subjects of its own domain in the contract are open to it."""
    client = await connect(site.nats.url, workload, PASSWORD)
    assert (await client.jetstream().publish(subject, b"x")).seq == 1
    await client.close()


async def test_everything_else_is_refused_by_the_broker(site: Site) -> None:
    """Another's events, subjects that the contract lacks, and all administration."""
    for workload, subject in REFUSED:
        told = await _told(site, workload, lambda client, subject=subject: client.publish(subject, b"{}"))
        assert "permissions violation for publish" in told.lower(), subject
    reader = await connect(site.nats.url, "auth", PASSWORD)
    assert await last_sequence(reader, "TULLE_AUTH") == 0
    await reader.close()


@pytest.mark.parametrize("subject", ["tulle.>", "_INBOX.>", "_INBOX.auth.>", "$JS.>", ">"])
async def test_nobody_listens_to_others(site: Site, subject: str) -> None:
    """A workload hears its own replies only; events come through its consumers."""
    told = await _told(site, "users", lambda client: client.subscribe(subject))
    assert "permissions violation for subscription" in told.lower()


async def test_a_stranger_gets_no_connection(site: Site) -> None:
    """Without the right password there is no connection."""
    with pytest.raises((nats.errors.Error, OSError)):
        await connect(site.nats.url, "users", "wrong")


async def test_setting_up_twice_changes_nothing(site: Site, auth: Database) -> None:
    """provision may run at each start: what streams and consumers hold stays."""
    client = await connect(site.nats.url, "auth", PASSWORD)
    await client.jetstream().publish("tulle.auth.account_created", b"x")
    await provision(site.nats.url, PASSWORD, contract())
    assert await last_sequence(client, "TULLE_AUTH") == 1
    await client.close()


async def test_what_comes_by_a_reply_has_no_effect(site: Site, auth: Database, users: Database) -> None:
    """The broker replies wherever it is asked to, also into another's stream: no such message is an event."""
    forged = event_pb2.Event(
        event_id="event_1", type="tulle.auth.v1.AccountCreated", source="auth", aggregate_id="a", aggregate_seq=1
    ).SerializeToString()
    # The administrator stands for a workload that consumes its own events and has been taken over.
    client = await connect(site.nats.url, streams.ADMINISTRATOR, PASSWORD)
    await client.jetstream().add_consumer("TULLE_USERS", durable_name="own", ack_policy=api.AckPolicy.NONE)
    victim = "tulle.auth.account_created"
    await client.publish("tulle.users.profile_updated", forged, reply=victim)  # its acknowledgement
    await eventually(lambda: _has_had(client, "TULLE_AUTH", 1))
    pull = "$JS.API.CONSUMER.MSG.NEXT.TULLE_USERS.own"
    await client.publish(pull, b'{"batch":1,"no_wait":true}', reply=victim)  # the event
    await eventually(lambda: _has_had(client, "TULLE_AUTH", 2))
    await client.publish(pull, b'{"batch":1,"no_wait":true}', reply=victim)  # a status: there are no more
    await eventually(lambda: _has_had(client, "TULLE_AUTH", 3))
    await client.close()
    await happen(auth, "good", 1)
    async with (
        site.open_bus("auth") as out,
        site.open_bus("users") as into,
        running(Relay(auth, out, "auth").run, Consumer(users, into, "users", noting(users)).run),
    ):
        await eventually(lambda: _reached(users, 1))
        await eventually(lambda: _buried(users, 2))  # the event kept its subject and does not arrive at all
    assert await effects(users) == [("good", 1)]


@pytest.fixture
async def delivering(site: Site, auth: Database, users: Database) -> AsyncIterator[Relay]:
    """Relay and consumer at work."""
    async with AsyncExitStack() as stack:
        out = await stack.enter_async_context(site.open_bus("auth"))
        into = await stack.enter_async_context(site.open_bus("users"))
        relay = Relay(auth, out, "auth")
        consumer = Consumer(users, into, "users", noting(users))
        await stack.enter_async_context(running(relay.run, consumer.run))
        yield relay


async def test_a_killed_broker_is_found_again(
    site: Site, auth: Database, users: Database, delivering: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Commits go on while the broker is dead; with its return everything arrives, once and in order."""
    monkeypatch.setattr(limits, "ACK_WAIT", 1.0)
    await provision(site.nats.url, PASSWORD, contract())
    seqs = iter(range(1, 1000))
    for made in (20, 40, 60):
        for _ in range(10):
            await happen(auth, "a", next(seqs))
        site.nats.kill()
        for _ in range(10):
            await happen(auth, "a", next(seqs))
        await site.nats.start()
        await eventually(partial(_reached, users, made), seconds=15)
    assert histories(await effects(users)) == {"a": list(range(1, 61))}


async def test_a_lost_store_is_filled_again_from_the_outbox(site: Site, auth: Database, users: Database) -> None:
    """Events that only the broker's lost disk held are published again; those consumed before have no second effect."""
    async with AsyncExitStack() as stack:
        out = await stack.enter_async_context(site.open_bus("auth"))
        await stack.enter_async_context(running(Relay(auth, out, "auth").run))
        async with site.open_bus("users") as into, running(Consumer(users, into, "users", noting(users)).run):
            for seq in range(1, 6):
                await happen(auth, "a", seq)
            await eventually(lambda: _reached(users, 5))
        for seq in range(6, 11):
            await happen(auth, "a", seq)
        await eventually(lambda: _all_published(auth))
        site.nats.kill()
        site.nats.lose_store()
        await site.nats.start()
        into = await stack.enter_async_context(site.open_bus("users"))
        await stack.enter_async_context(running(Consumer(users, into, "users", noting(users)).run))
        await eventually(lambda: _reached(users, 10))
    assert histories(await effects(users)) == {"a": list(range(1, 11))}


async def test_a_stream_that_begins_anew_before_the_relay_s_eyes_is_filled_again(
    site: Site, auth: Database, users: Database
) -> None:
    """No connection is lost, so that the relay learns it from a place that it has seen before; that one is lost too."""
    async with AsyncExitStack() as stack:
        out = await stack.enter_async_context(site.open_bus("auth"))
        await stack.enter_async_context(running(Relay(auth, out, "auth").run))
        for seq in range(1, 6):
            await happen(auth, "a", seq)
        await eventually(lambda: _all_published(auth))
        administrator = await connect(site.nats.url, streams.ADMINISTRATOR, PASSWORD)
        await administrator.jetstream().delete_stream("TULLE_AUTH")
        await administrator.close()
        await provision(site.nats.url, PASSWORD, contract())
        into = await stack.enter_async_context(site.open_bus("users"))
        await stack.enter_async_context(running(Consumer(users, into, "users", noting(users)).run))
        await happen(auth, "a", 6)
        await eventually(lambda: _reached(users, 6))
    assert histories(await effects(users)) == {"a": [1, 2, 3, 4, 5, 6]}


async def test_no_store_is_too_large_to_be_filled_again(
    site: Site, auth: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was lost is given back in statements that each end in time, however long all of them take together."""
    for seq in range(1, 31):
        await happen(auth, "a", seq)
    async with site.open_bus("auth") as out, running(Relay(auth, out, "auth").run):
        await eventually(lambda: _all_published(auth))
    site.nats.kill()
    site.nats.lose_store()
    await site.nats.start()
    async with auth.connection() as connection:
        await connection.execute(SLOW_UPDATES)
    monkeypatch.setattr(limits, "STATEMENT_TIMEOUT", 0.6)
    monkeypatch.setattr(limits, "REPLAY_BATCH", 4)
    async with (
        site.open_database("auth") as database,
        site.open_bus("auth") as out,
        running(Relay(database, out, "auth").run),
    ):
        await eventually(lambda: _holds_again(out, 30))


async def test_what_a_slow_broker_took_is_marked(site: Site, auth: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch ends before the database takes its transaction for a forgotten one, however slow each publish is."""
    monkeypatch.setattr(limits, "IDLE_TRANSACTION_TIMEOUT", 1.0)
    monkeypatch.setattr(limits, "RELAY_BATCH_TIME", 0.4)
    for seq in range(1, 17):
        await happen(auth, "a", seq)
    async with site.open_database("auth") as database, site.open_bus("auth") as out:
        jetstream = (await out.client()).jetstream()
        at_once = jetstream.publish

        async def slowly(*message: Any, **options: Any) -> api.PubAck:
            await asyncio.sleep(0.15)
            return await at_once(*message, **options)

        jetstream.publish = slowly  # type: ignore[method-assign]
        await Relay(database, out, "auth").publish(jetstream)
    assert 0 < await count(auth, "SELECT count(*) FROM outbox WHERE published_at IS NOT NULL") < 16


async def test_a_full_stream_refuses_and_the_outbox_waits(
    site: Site, auth: Database, users: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is dropped to make room; with room again everything arrives."""
    monkeypatch.setattr(limits, "STREAM_BYTES", 2000)
    await provision(site.nats.url, PASSWORD, contract())
    for seq in range(1, 31):
        await happen(auth, "a", seq)
    async with AsyncExitStack() as stack:
        out = await stack.enter_async_context(site.open_bus("auth"))
        into = await stack.enter_async_context(site.open_bus("users"))
        await stack.enter_async_context(running(Relay(auth, out, "auth").run))
        await stack.enter_async_context(running(Consumer(users, into, "users", noting(users)).run))
        await asyncio.sleep(0.5)
        assert 0 < len(await effects(users)) < 30
        monkeypatch.setattr(limits, "STREAM_BYTES", 2**20)
        await provision(site.nats.url, PASSWORD, contract())
        await eventually(lambda: _reached(users, 30), seconds=15)
    assert histories(await effects(users)) == {"a": list(range(1, 31))}


async def test_readiness_follows_the_broker(site: Site) -> None:
    """The bus is ready while the broker answers, and says so again after its return."""
    async with site.open_bus("users") as bus:
        await eventually(lambda: _ready(bus))
        site.nats.kill()
        await eventually(lambda: _not_ready(bus))
        await site.nats.start()
        await eventually(lambda: _ready(bus))


async def test_a_process_starts_without_its_broker(site: Site, auth: Database, users: Database) -> None:
    """Opening the bus needs no broker; work begins when it comes."""
    site.nats.kill()
    await happen(auth, "a", 1)
    async with open_bus(site.settings("auth")) as out, running(Relay(auth, out, "auth").run):
        await asyncio.sleep(0.3)
        await site.nats.start()
        await eventually(lambda: _all_published(auth))


async def _told(site: Site, workload: str, act: object) -> str:
    told: asyncio.Queue[str] = asyncio.Queue()

    async def note(error: Exception) -> None:
        told.put_nowait(str(error))

    client = await connect(site.nats.url, workload, PASSWORD, error_cb=note)
    await act(client)  # type: ignore[operator]
    try:
        async with asyncio.timeout(5):
            return await told.get()
    finally:
        await client.close()


async def _reached(database: Database, number: int) -> bool:
    return len(await effects(database)) >= number


async def _has_had(client: Client, stream: str, number: int) -> bool:
    return await last_sequence(client, stream) >= number


async def _buried(database: Database, number: int) -> bool:
    answer = await operator(database, "users").ListDeadLetters(pb.ListDeadLettersRequest())
    return len(answer.dead_letters) == number


async def _all_published(database: Database) -> bool:
    return await count(database, "SELECT count(*) FROM outbox WHERE published_at IS NULL") == 0


async def _holds_again(bus: Bus, number: int) -> bool:
    return await last_sequence(await bus.client(), "TULLE_AUTH") == number


async def _ready(bus: Bus) -> bool:
    try:
        await bus.ready()
    except model.Unavailable:
        return False
    return True


async def _not_ready(bus: Bus) -> bool:
    return not await _ready(bus)


@pytest.mark.parametrize("way", ["in silence", "over its farewell"])
async def test_a_client_that_dies_without_a_word_is_replaced(site: Site, way: str) -> None:
    """A client that is closed and has told nobody is noticed, and a new one takes its place."""
    async with site.open_bus("users") as bus:
        client = await bus.client()
        if way == "in silence":
            await client._close(Client.CLOSED, do_cbs=False)
        else:
            _break(client)
            site.nats.kill()
            await asyncio.sleep(0.2)
            await site.nats.start()

        async def replaced() -> bool:
            return await bus.client() is not client

        await eventually(replaced)
        await bus.ready()


def _break(client: Client) -> None:
    """Let the client have something left to say when its connection breaks, which then fails."""
    transport = client._transport
    assert transport is not None

    async def drain() -> None:
        raise ConnectionResetError

    transport.drain = drain  # type: ignore[method-assign]
    client._pending_data_size = 1
