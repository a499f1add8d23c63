"""Events as rows and as envelopes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from tulle.auth.v1 import events_pb2
from tulle.event.v1 import event_pb2

from infra import limits
from infra.events.outbox import EventTooLarge, envelope, row
from infra.events.relay import _lanes
from mesh import model

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
NAMES = (
    *("event_id", "type", "schema_version", "resource", "aggregate_id", "organisation_id", "actor"),
    *("causation_id", "traceparent", "time", "payload", "publish_at"),
)


@dataclass(frozen=True, slots=True)
class RolesChanged(model.Event):
    type = "tulle.auth.v1.RolesChanged"
    resource = "account"
    user_id: str = ""
    roles: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AccountCreated(model.Event):
    type = "tulle.auth.v1.AccountCreated"
    resource = "account"
    user_id: str = ""


def named(event: model.Event) -> dict[str, object]:
    return dict(zip(NAMES, row(event, now=NOW), strict=True))


def changed(roles: tuple[str, ...] = ("administrator",)) -> RolesChanged:
    caller = model.Caller("operator", request_id="req_1", traceparent="00-trace")
    return RolesChanged.by(caller, "user_1", model.OrganisationId("org_1"), user_id="user_1", roles=roles)


def test_a_row_says_who_what_when_and_why() -> None:
    """The caller becomes actor and cause; the id is of the event's time."""
    found = named(changed())
    assert found | {"event_id": "", "payload": b""} == {
        "event_id": "",
        "type": "tulle.auth.v1.RolesChanged",
        "schema_version": 1,
        "resource": "account",
        "aggregate_id": "user_1",
        "organisation_id": "org_1",
        "actor": "workload:operator",
        "causation_id": "req_1",
        "traceparent": "00-trace",
        "time": NOW,
        "payload": b"",
        "publish_at": None,
    }
    assert str(found["event_id"])[:15] == model.new_id("event", NOW.timestamp())[:15]


def test_the_payload_has_the_fields_of_its_message() -> None:
    """The event's own fields go by name, and those of the envelope that the message has too."""
    assert events_pb2.RolesChanged.FromString(named(changed())["payload"]) == events_pb2.RolesChanged(  # type: ignore[arg-type]
        user_id="user_1", roles=["administrator"]
    )
    created = AccountCreated("user_1", model.OrganisationId("org_1"), "me", user_id="user_1")
    assert events_pb2.AccountCreated.FromString(named(created)["payload"]).organisation_id == "org_1"  # type: ignore[arg-type]


def test_an_event_that_the_contract_lacks_is_refused() -> None:
    """An event nobody declared cannot be announced."""

    @dataclass(frozen=True, slots=True)
    class MadeUp(model.Event):
        type = "tulle.auth.v1.Account"
        resource = "account"

    with pytest.raises(KeyError, match="no event of the contract"):
        row(MadeUp("a", model.OrganisationId("o"), "me"))


def test_an_event_is_no_document() -> None:
    """One that is too large is refused before it is written, so that it never blocks the relay."""
    with pytest.raises(EventTooLarge):
        row(changed(("x" * limits.EVENT_BYTES,)))


def test_the_envelope_carries_the_row() -> None:
    """Everything but the broker's own affairs."""
    record = {**named(changed()), "aggregate_seq": 7}
    found = envelope(record, "auth")
    assert (found.source, found.aggregate_seq, found.time.ToDatetime(UTC)) == ("auth", 7, NOW)
    same = ("event_id", "type", "schema_version", "resource", "aggregate_id", "organisation_id", "actor", "payload")
    assert {name: getattr(found, name) for name in same} == {name: record[name] for name in same}
    assert {field.name for field in event_pb2.Event.DESCRIPTOR.fields} == {*NAMES, "source", "aggregate_seq"} - {
        "publish_at"
    }


def test_lanes_are_aggregates_in_order_and_single_timers() -> None:
    """What must not overtake is together; a timer is alone."""

    def record(resource: str, aggregate: str, seq: int, publish_at: datetime | None = None) -> dict[str, object]:
        named = {"event_id": f"{resource}{aggregate}{seq}", "resource": resource, "aggregate_id": aggregate}
        return {**named, "aggregate_seq": seq, "publish_at": publish_at}

    rows = [
        record("r", "a", 2),
        record("r", "b", 1),
        record("r", "a", 1),
        record("s", "a", 1),
        record("r", "a", 3, NOW),
    ]
    assert sorted([row["event_id"] for row in lane] for lane in _lanes(rows)) == [
        ["ra1", "ra2"],
        ["ra3"],
        ["rb1"],
        ["sa1"],
    ]
