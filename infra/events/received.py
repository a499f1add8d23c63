"""An event as its handlers see it, and how a message from the broker becomes one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeAlias

from google.protobuf.message import DecodeError, Message
from tulle.event.v1 import event_pb2

from mesh import model

PREVIOUS = "Tulle-Previous"
"""Header: for each consuming workload the place of the aggregate's last event before this one that
the workload consumes, such as `search=4,users=0`. Timers have none: they stand outside of the order."""


class Unreadable(Exception):
    """A message that is no event of this contract."""


@dataclass(frozen=True, slots=True)
class Received:
    """One event with its payload, a message of the class under which the handler is registered.

    `caller` is the consuming workload acting for nobody, caused by this event: for calls and
    events that the handler makes.
    """

    event_id: str
    type: str
    schema_version: int
    source: str
    resource: str
    aggregate_id: str
    aggregate_seq: int
    organisation_id: model.OrganisationId
    actor: str
    causation_id: str
    traceparent: str
    time: datetime
    payload: Any
    caller: model.Caller


Handler: TypeAlias = Callable[[Received], Awaitable[None]]
Subscriptions: TypeAlias = Mapping[type[Message], Handler]


def decode(data: bytes) -> event_pb2.Event:
    """The envelope. Raises: Unreadable."""
    try:
        event = event_pb2.Event.FromString(data)
    except DecodeError as error:
        raise Unreadable(f"no envelope: {error}") from error
    if not (event.event_id and event.type and event.source and event.aggregate_id and event.aggregate_seq):
        raise Unreadable("an envelope without id, type, source, aggregate or place")
    return event


def received(event: event_pb2.Event, message: type[Message], workload: str) -> Received:
    """The event for a handler of `workload`. Raises: Unreadable if its payload is no `message`."""
    try:
        payload = message.FromString(event.payload)
    except DecodeError as error:
        raise Unreadable(f"no {event.type}: {error}") from error
    return Received(
        event_id=event.event_id,
        type=event.type,
        schema_version=event.schema_version,
        source=event.source,
        resource=event.resource,
        aggregate_id=event.aggregate_id,
        aggregate_seq=event.aggregate_seq,
        organisation_id=model.OrganisationId(event.organisation_id),
        actor=event.actor,
        causation_id=event.causation_id,
        traceparent=event.traceparent,
        time=event.time.ToDatetime(UTC),
        payload=payload,
        caller=model.Caller(workload, request_id=event.event_id, traceparent=event.traceparent),
    )


def previous(headers: Mapping[str, str] | None, workload: str) -> int | None:
    """The place of the predecessor that `workload` must have seen; 0 if none, None for a timer."""
    value = (headers or {}).get(PREVIOUS)
    if value is None:
        return None
    places = dict(part.split("=", 1) for part in value.split(",") if "=" in part)
    place = places.get(workload, "0")
    return int(place) if place.isdecimal() else 0
