"""What comes of each event that notifications consumes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from tulle.auth.v1 import events_pb2 as auth
from tulle.billing.v1 import events_pb2 as billing

from infra.events.received import Received
from mesh.model import Caller, OrganisationId
from services.notifications.domain.deliveries import Delivery
from services.notifications.domain.kinds import KINDS
from services.notifications.events import subscriptions
from services.notifications.inbox.domain import Inbox
from services.notifications.letters import Templates
from services.notifications.telling import Telling
from tests.fakes.inbox import FakeInboxes
from tests.fakes.notification_preferences import FakePreferences
from tests.fakes.notifications import FakeStore
from tests.unit.services.notifications.world import ADA

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
PAID = billing.InvoicePaid(user_id=ADA, invoice_id="invoice_1", number="EX-000001", amount_minor=1999, currency="EUR")
FAILED = billing.PaymentFailed(user_id=ADA, invoice_id="invoice_1", amount_minor=1999, currency="EUR")
AGAIN = billing.PaymentFailed(
    user_id=ADA, amount_minor=1999, currency="EUR", next_attempt_time=Timestamp(seconds=1777777777)
)


async def told(payload: Any) -> Delivery:
    """The delivery that an event leaves."""
    store = FakeStore()
    event = Received(
        event_id="event_1",
        type=payload.DESCRIPTOR.full_name,
        schema_version=1,
        source="billing",
        resource="invoice",
        aggregate_id="invoice_1",
        aggregate_seq=1,
        organisation_id=OrganisationId("organisation_1"),
        actor="workload:billing",
        causation_id="",
        traceparent="",
        time=NOON,
        payload=payload,
        caller=Caller("notifications"),
    )
    no_bell: Any = None
    inbox = Inbox(FakeInboxes(), no_bell, lambda: NOON)
    telling = Telling(store, inbox, FakePreferences(), lambda: NOON)
    handle = subscriptions(store, telling)[type(payload)]
    for _ in range(2):
        await handle(event)
    (found,) = [one for one in store.kept.values() if one.channel == "mail"]
    return found


async def test_a_mail_of_auth_must_go_out() -> None:
    """Whom it goes to and what it says, auth knows."""
    found = await told(auth.MailRequested(mail_id="mail_1"))
    assert (found.mail_id, found.kind, found.repeatable, found.repeats) == ("mail_1", "", True, 1)


@pytest.mark.parametrize("language", ["en", "de", "pt"])
@pytest.mark.parametrize("payload", [PAID, FAILED, AGAIN], ids=["paid", "failed", "again"])
async def test_an_event_brings_all_that_its_letter_needs(payload: Any, language: str) -> None:
    """It goes to whom the event names, rather never than twice, and can be written in every language."""
    found = await told(payload)
    assert (found.user_id, found.repeatable, found.create_time) == (ADA, False, NOON)
    assert found.repeatable is KINDS[found.kind].repeatable
    letter = Templates(url="http://x").written(found.kind, language, {**found.variables, "zone": "UTC"})
    assert "19.99" in letter.text or "19,99" in letter.text


async def test_whoever_could_not_pay_reads_when_it_is_tried_again() -> None:
    """Or that it is not."""
    letters = Templates(url="http://x")
    texts = [
        letters.written("payment_failed", "en", {**(await told(payload)).variables, "zone": "UTC"}).text
        for payload in (AGAIN, FAILED)
    ]
    assert "We try again on May 3, 2026" in texts[0]
    assert "We do not try again" in texts[1]
