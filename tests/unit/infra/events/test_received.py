"""Messages as events."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st
from tulle.auth.v1 import events_pb2
from tulle.event.v1 import event_pb2

from infra.events.received import PREVIOUS, Unreadable, decode, previous, received, verified
from mesh import model
from mesh.contract import contract

GOOD = event_pb2.Event(
    event_id="event_1",
    type="tulle.auth.v1.AccountCreated",
    source="auth",
    aggregate_id="user_1",
    aggregate_seq=1,
    organisation_id="org_1",
    traceparent="00-trace",
    payload=events_pb2.AccountCreated(user_id="user_1").SerializeToString(),
)


def message(subject: str = "tulle.auth.account_created", stream: str = "TULLE_AUTH") -> Any:
    return SimpleNamespace(subject=subject, metadata=SimpleNamespace(stream=stream))


@given(st.binary(max_size=200))
def test_any_bytes_are_an_envelope_or_unreadable(data: bytes) -> None:
    """Nothing that arrives raises anything else."""
    try:
        event = decode(data)
    except Unreadable:
        return
    assert event.event_id


@pytest.mark.parametrize("field", ["event_id", "type", "source", "aggregate_id", "aggregate_seq"])
def test_an_envelope_has_all_that_the_inbox_needs(field: str) -> None:
    """Without any of these an event cannot be taken once and in order."""
    event = event_pb2.Event.FromString(GOOD.SerializeToString())
    event.ClearField(field)  # type: ignore[arg-type]
    with pytest.raises(Unreadable):
        decode(event.SerializeToString())


@pytest.mark.parametrize("text", ["\0", "user_1\0", "x" * 256])
@pytest.mark.parametrize("field", [field.name for field in GOOD.DESCRIPTOR.fields if field.type == field.TYPE_STRING])
def test_a_text_that_cannot_be_kept_is_unreadable(field: str, text: str) -> None:
    """PostgreSQL refuses it each time, so that it would come again for ever."""
    event = event_pb2.Event.FromString(GOOD.SerializeToString())
    setattr(event, field, text)
    with pytest.raises(Unreadable, match=field):
        decode(event.SerializeToString())


@pytest.mark.parametrize(
    "odd",
    [
        event_pb2.Event(aggregate_seq=2**63),
        event_pb2.Event(time=Timestamp(seconds=2**60)),
        event_pb2.Event(time=Timestamp(nanos=-1)),
    ],
)
def test_a_number_that_cannot_be_kept_is_unreadable(odd: event_pb2.Event) -> None:
    """No place beyond the database's numbers, no time beyond the calendar."""
    with pytest.raises(Unreadable, match="cannot be kept"):
        decode(GOOD.SerializeToString() + odd.SerializeToString())


@pytest.mark.parametrize("place", [str(2**63), "9" * 5000])
def test_a_predecessor_that_cannot_be_is_unreadable(place: str) -> None:
    """Nothing would ever come after it."""
    with pytest.raises(Unreadable, match="place 9"):
        previous({PREVIOUS: f"users={place}"}, "users")
    assert previous({PREVIOUS: f"users={2**63 - 1}"}, "users") == 2**63 - 1


@pytest.mark.parametrize(
    ("subject", "stream", "source"),
    [
        ("tulle.auth.mail_requested", "TULLE_AUTH", "auth"),
        ("tulle.users.account_created", "TULLE_USERS", "auth"),
        ("tulle.auth.account_created", "TULLE_USERS", "auth"),
        ("tulle.auth.account_created", "TULLE_AUTH", "users"),
    ],
)
def test_source_subject_and_stream_agree(subject: str, stream: str, source: str) -> None:
    """The broker permits each workload its own subjects: what was sent on another's is not believed."""
    event = event_pb2.Event.FromString(GOOD.SerializeToString())
    event.source = source
    with pytest.raises(Unreadable):
        verified(event, contract().events[event.type], message(subject, stream))


def test_an_unknown_type_is_unreadable() -> None:
    """Newer or made up: nothing can be done with it now."""
    with pytest.raises(Unreadable):
        verified(GOOD, None, message())


def test_a_handler_sees_payload_and_cause() -> None:
    """What the handler does is caused by the event, in its trace, by the workload itself."""
    event = received(verified(GOOD, contract().events[GOOD.type], message()), events_pb2.AccountCreated, "users")
    assert event.payload.user_id == "user_1"
    assert event.caller == model.Caller("users", request_id="event_1", traceparent="00-trace")


def test_the_predecessor_is_the_workloads_own() -> None:
    """Each consumer waits for what it consumes; a timer waits for nothing; rubbish is no reason to wait."""
    headers = {PREVIOUS: "search=4,users=12"}
    assert (previous(headers, "users"), previous(headers, "search"), previous(headers, "mail")) == (12, 4, 0)
    assert previous({PREVIOUS: ""}, "users") == 0
    assert previous({PREVIOUS: "users=x,=,users"}, "users") == 0
    assert previous({}, "users") is None
    assert previous(None, "users") is None
