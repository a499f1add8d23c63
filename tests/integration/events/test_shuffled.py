"""Deliveries in any order, any number of times: no broker needed to be unkind."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from infra import limits
from infra.events.bus import Bus
from infra.events.consumer import Consumer
from infra.events.outbox import envelope, row
from infra.events.received import PREVIOUS
from infra.postgres import Database
from tests.integration.events.story import ORGANISATION, AccountCreated, effects, histories, noting

COLUMNS = (
    *("event_id", "type", "schema_version", "resource", "aggregate_id", "organisation_id", "actor"),
    *("causation_id", "traceparent", "time", "payload"),
)


@dataclass
class Place:
    stream: int = 1


@dataclass
class Metadata:
    num_delivered: int = 1
    stream: str = "TULLE_AUTH"
    sequence: Place = field(default_factory=Place)


@dataclass
class Delivery:
    """A message as the consumer gets it, that notes how it was answered."""

    data: bytes
    headers: dict[str, str]
    subject: str = "tulle.auth.account_created"
    metadata: Metadata = field(default_factory=Metadata)
    acked: bool = False

    async def ack(self) -> None:
        self.acked = True

    async def nak(self, delay: float) -> None:
        assert delay > 0


def history(aggregate: str, length: int) -> list[Delivery]:
    """The events of one aggregate, every third of a type that users does not consume left out."""
    seqs = [seq for seq in range(1, length + 1) if seq % 3]
    return [delivery(aggregate, seq, before) for before, seq in zip([0, *seqs], seqs, strict=False)]


def delivery(aggregate: str, seq: int, before: int) -> Delivery:
    event = row(AccountCreated(aggregate, ORGANISATION, "test", user_id=aggregate))
    record = {**dict(zip(COLUMNS, event, strict=False)), "aggregate_seq": seq}
    return Delivery(envelope(record, "auth").SerializeToString(), {PREVIOUS: f"search=0,users={before}"})


async def bring(consumer: Consumer, deliveries: Sequence[Delivery]) -> None:
    """Deliver everything and then let the parked have their turn."""
    for message in deliveries:
        await consumer.take(message)  # type: ignore[arg-type]
        assert message.acked
    while await consumer.parking.retry_lane():
        pass


@pytest.fixture
def consumer(users: Database) -> Consumer:
    return Consumer(users, Bus("nats://unused", "users", ""), "users", noting(users))


@pytest.mark.parametrize("seed", range(5))
async def test_shuffled_and_repeated_deliveries_keep_effect_and_order(
    seed: int, users: Database, consumer: Consumer
) -> None:
    """Each event has one effect, each aggregate's in its order."""
    chance = random.Random(seed)
    messages = [message for name in "abc" for message in history(name, 12)]
    deliveries = [Delivery(m.data, m.headers) for m in messages for _ in range(chance.randint(1, 3))]
    chance.shuffle(deliveries)
    await bring(consumer, deliveries)
    wanted = [seq for seq in range(1, 13) if seq % 3]
    assert histories(await effects(users)) == dict.fromkeys("abc", wanted)


@pytest.mark.parametrize("seed", range(3))
async def test_replicas_that_take_turns_at_random_keep_order_too(
    seed: int, users: Database, consumer: Consumer
) -> None:
    """Deliveries and retries interleave in any way, in several processes at once."""
    chance = random.Random(seed)
    deliveries = [message for name in "abc" for message in history(name, 20)]
    chance.shuffle(deliveries)

    async def replica() -> None:
        while deliveries:
            if chance.random() < 0.3:
                await consumer.parking.retry_lane()
            else:
                await consumer.take(deliveries.pop())  # type: ignore[arg-type]

    await asyncio.gather(*(replica() for _ in range(4)))
    await bring(consumer, [])
    wanted = [seq for seq in range(1, 21) if seq % 3]
    assert histories(await effects(users)) == dict.fromkeys("abc", wanted)


async def test_an_event_waits_for_its_predecessor_but_not_for_ever(
    users: Database, consumer: Consumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the predecessor never comes, the event has its effect all the same: late is better than lost."""
    await bring(consumer, [delivery("a", 5, before=4)])
    assert await effects(users) == []
    monkeypatch.setattr(limits, "EARLY_PATIENCE", 0.0)
    await bring(consumer, [delivery("b", 5, before=4)])
    assert await effects(users) == [("b", 5)]


async def test_an_event_under_anothers_subject_is_buried(users: Database, consumer: Consumer) -> None:
    """The envelope must agree with the subject that the broker let its sender use."""
    forged = delivery("a", 1, 0)
    forged.subject = "tulle.users.profile_updated"
    await bring(consumer, [forged])
    assert await effects(users) == []
