"""WhyNotification and ListDeliveries through the whole pipeline and PostgreSQL: everybody asks about themselves."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tulle.notifications.v1 import notifications_pb2 as pb
from tulle.notifications.v1.notifications_pb2_grpc import DeliveriesServiceStub, NotificationsServiceStub

from infra.postgres import open_database
from mesh.model import Denied, UserId
from services.notifications.domain.deliveries import Delivery, Outcome, Reason, State
from services.notifications.store import PostgresStore
from tests.integration.notifications.conftest import Process

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
ADA, BOB = UserId("user_01k3v7c2e5f9rbq0j4mzx8w6td"), UserId("user_01k3v7c2e5f9rbq0j4mzx8w6te")
PAID, FAILED = "event_01k3v7d0h2e8mqz5n7c4y1trab", "event_01k3v7d0h2e8mqz5n7c4y1trac"


def delivery(name: str, event_id: str, user_id: UserId, kind: str) -> Delivery:
    return Delivery(
        delivery_id=f"delivery_{name}",
        event_id=event_id,
        user_id=user_id,
        kind=kind,
        repeatable=False,
        create_time=NOON,
        not_before=NOON,
    )


@pytest.fixture
async def store(process: Process) -> AsyncIterator[PostgresStore]:
    """Ada waits for the end of the night and has been told of a payment, Bob of one too."""
    async with open_database(process.settings) as database:
        store = PostgresStore(database)
        for row in (
            ("1", PAID, ADA, "invoice_paid"),
            ("2", FAILED, ADA, "payment_failed"),
            ("3", FAILED, BOB, "payment_failed"),
        ):
            await store.add(delivery(*row))
        await store.add(delivery("4", PAID, ADA, "invoice_paid"))
        outcomes = {
            "delivery_1": Outcome(State.WAITING, Reason.QUIET, NOON + timedelta(hours=9)),
            "delivery_2": Outcome(State.SENT),
        }
        while claimed := await store.claim(NOON, NOON + timedelta(hours=1)):
            if outcome := outcomes.get(claimed.delivery_id):
                await store.settle(claimed, outcome, NOON)
        yield store


async def why(process: Process, user_id: UserId, **asked: str) -> list[pb.Delivery]:
    stub = process.stub(NotificationsServiceStub, user_id)
    return list((await stub.WhyNotification(pb.WhyNotificationRequest(**asked))).deliveries)


async def test_everybody_is_told_what_is_theirs(process: Process, store: PostgresStore) -> None:
    """Newest first; one can ask about an event or a kind; of what is another's there is nothing."""
    assert [one.delivery_id for one in await why(process, ADA)] == ["delivery_2", "delivery_1"]
    assert [one.delivery_id for one in await why(process, ADA, kind="invoice_paid")] == ["delivery_1"]
    assert [one.delivery_id for one in await why(process, ADA, event_id=FAILED)] == ["delivery_2"]
    assert [one.delivery_id for one in await why(process, BOB, event_id=FAILED)] == ["delivery_3"]
    assert await why(process, BOB, event_id=PAID) == []


async def test_the_answer_says_why(process: Process, store: PostgresStore) -> None:
    """Until when it waits and why, that its event came again, and each decision with its time."""
    (found,) = await why(process, ADA, event_id=PAID)
    assert (found.state, found.reason, found.repeats) == (pb.DELIVERY_STATE_WAITING, "QUIET", 1)
    assert found.next_time.ToDatetime(UTC) == NOON + timedelta(hours=9)
    (decision,) = found.history
    assert (decision.reason, decision.time.ToDatetime(UTC)) == ("QUIET", NOON)
    assert decision.until == found.next_time


async def test_an_operator_asks_about_anybody(process: Process, store: PostgresStore) -> None:
    """By person, event and kind; nobody else may."""
    stub: Any = process.stub(DeliveriesServiceStub, workload="operator")
    for asked, names in (
        ({"event_id": FAILED}, ["delivery_3", "delivery_2"]),
        ({"user_id": ADA, "kind": "invoice_paid"}, ["delivery_1"]),
        ({}, ["delivery_3", "delivery_2", "delivery_1"]),
    ):
        found = await stub.ListDeliveries(pb.ListDeliveriesRequest(**asked))
        assert [one.delivery_id for one in found.deliveries] == names
    with pytest.raises(Denied):
        await process.stub(DeliveriesServiceStub, ADA).ListDeliveries(pb.ListDeliveriesRequest())
