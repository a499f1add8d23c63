"""An event as its handlers see it, and how a message from the broker becomes one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeAlias

from google.protobuf.message import DecodeError, Message
from nats.aio.msg import Msg
from tulle.event.v1 import event_pb2

from infra import limits
from infra.events import streams
from mesh import model
from mesh.contract import Event

PREVIOUS = "Tulle-Previous"
"""Header: for each consuming workload the place of the aggregate's last event before this one that
the workload consumes, such as `search=4,users=0`. Timers have none: they stand outside of the order."""


_LAST_PLACE = 2**63 - 1
"""PostgreSQL's bigint ends there."""
_TEXTS = [field.name for field in event_pb2.Event.DESCRIPTOR.fields if field.type == field.TYPE_STRING]


class NewerEvent(model.Unavailable):
    """The event has a version that this release does not know yet; the next one will."""


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
Subscriptions: TypeAlias = Mapping[Any, Handler]
"""By the class of the event's message. (A mapping's key type is invariant, so `type[Message]` would fit none.)"""
Upgrade: TypeAlias = Callable[[Any], Any]
"""Takes a payload that means what one version meant, and returns one that means what the next does."""
Upgrades: TypeAlias = Mapping[Any, Sequence[Upgrade]]
"""By the class of the event's message: from version 1 to 2, from 2 to 3 and so on, up to the contract's version."""


def decode(data: bytes) -> event_pb2.Event:
    """The envelope, such that the inbox can keep it. Raises: Unreadable."""
    try:
        event = event_pb2.Event.FromString(data)
    except DecodeError as error:
        raise Unreadable(f"no envelope: {error}") from error
    if not (event.event_id and event.type and event.source and event.aggregate_id and event.aggregate_seq):
        raise Unreadable("an envelope without id, type, source, aggregate or place")
    if odd := [*_odd_texts(event), *_odd_numbers(event)]:
        raise Unreadable(f"an envelope that cannot be kept: {', '.join(odd)}")
    return event


def _odd_texts(event: event_pb2.Event) -> Iterator[str]:
    """PostgreSQL keeps no NUL in a text, and no long one in an index."""
    for name in _TEXTS:
        text: str = getattr(event, name)
        if "\0" in text or len(text) > limits.EVENT_TEXT_LONGEST:
            yield name


def _odd_numbers(event: event_pb2.Event) -> Iterator[str]:
    if event.aggregate_seq > _LAST_PLACE:
        yield "aggregate_seq"
    try:
        event.time.ToDatetime(UTC)
    except (ValueError, OverflowError):
        yield "time"


def verified(event: event_pb2.Event, known: Event | None, message: Msg) -> event_pb2.Event:
    """The event, if its source was permitted to publish it. Raises: Unreadable.

    The broker checks the subject of a publish, but not the subject at which it is asked to reply: any
    workload can have an acknowledgement, or a message that it may consume, written into another's stream.
    The one is no envelope, the other keeps the subject under which it was published.
    """
    found = (message.subject, event.source, message.metadata.stream)
    if known is None or found != (known.subject, known.domain, streams.stream(known.domain)):
        raise Unreadable(f"{event.type} from {found[1]} on {found[0]} in {found[2]}")
    return event


def received(
    event: event_pb2.Event, message: type[Message], workload: str, upgrades: Sequence[Upgrade] = ()
) -> Received:
    """The event for a handler of `workload`, of the version that `upgrades` lead to.

    Raises: Unreadable if its payload is no `message`; NewerEvent.
    """
    version = max(1, event.schema_version)
    if version > len(upgrades) + 1:
        raise NewerEvent
    payload = payload_of(event, message)
    for upgrade in upgrades[version - 1 :]:
        payload = upgrade(payload)
    return Received(
        event_id=event.event_id,
        type=event.type,
        schema_version=len(upgrades) + 1,
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


def payload_of(event: event_pb2.Event, message: type[Message]) -> Message:
    """What the event says. Raises: Unreadable if that is no `message`."""
    try:
        return message.FromString(event.payload)
    except DecodeError as error:
        raise Unreadable(f"no {event.type}: {error}") from error


def previous(headers: Mapping[str, str] | None, workload: str) -> int | None:
    """The place of the predecessor that `workload` must have seen; 0 if none, None for a timer.

    Raises: Unreadable if there can be no such place.
    """
    value = (headers or {}).get(PREVIOUS)
    if value is None:
        return None
    places = dict(part.split("=", 1) for part in value.split(",") if "=" in part)
    place = places.get(workload, "0")
    if not place.isdecimal():
        return 0
    if len(place) > len(str(_LAST_PLACE)) or int(place) > _LAST_PLACE:
        raise Unreadable(f"a predecessor at place {place[:20]}")
    return int(place)
