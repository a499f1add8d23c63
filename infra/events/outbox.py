"""The outbox: events written in the same statement as the entity that they are about.

A statement takes an event as one parameter of the composite type `new_event` and the aggregate's
new version as its place in the aggregate's history:

    -- name: save(user_id, name, version, event)^
    WITH saved AS (
        UPDATE profiles SET name = :name, version = version + 1
        WHERE user_id = :user_id AND version = :version
        RETURNING *
    ), announced AS (
        INSERT INTO outbox SELECT (:event::new_event).*, saved.version FROM saved
    )
    SELECT * FROM saved;

    saved = await queries.save(connection, user_id=…, name=…, version=…, event=row(ProfileUpdated(…)))

The version starts at 1 and grows by one with each event of the aggregate. An event with a time in
`publish_at` is a timer: it is published then, outside of its aggregate's order.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TypeAlias

from google.protobuf import message_factory
from google.protobuf.message import Message
from tulle.event.v1 import event_pb2

from infra import limits, postgres
from mesh import model
from mesh.contract import contract

Row: TypeAlias = tuple[object, ...]
_BASE = frozenset(field.name for field in dataclasses.fields(model.Event))


class EventTooLarge(ValueError):
    """An event carries ids, not documents."""


def row(event: model.Event, publish_at: datetime | None = None, now: datetime | None = None) -> Row:
    """`event` as a value of the type `new_event`, and a wake for the relay after the commit.

    Raises: EventTooLarge; ValueError or KeyError if its fields are not those of its message.
    """
    payload = _payload(event).SerializeToString()
    if len(payload) > limits.EVENT_BYTES:
        raise EventTooLarge(f"{event.type}: {len(payload)} bytes, {limits.EVENT_BYTES} are allowed")
    postgres.announce()
    time = now or datetime.now(UTC)
    return (
        model.new_id("event", time.timestamp()),
        event.type,
        contract().events[event.type].schema_version,
        event.resource,
        event.aggregate_id,
        event.organisation_id,
        event.actor,
        event.causation_id,
        event.traceparent,
        time,
        payload,
        publish_at,
    )


def envelope(record: Mapping[str, Any], source: str) -> event_pb2.Event:
    """The envelope of a row of the outbox, as published by workload `source`."""
    return event_pb2.Event(
        event_id=record["event_id"],
        type=record["type"],
        schema_version=record["schema_version"],
        source=source,
        resource=record["resource"],
        aggregate_id=record["aggregate_id"],
        aggregate_seq=record["aggregate_seq"],
        organisation_id=record["organisation_id"],
        actor=record["actor"],
        causation_id=record["causation_id"],
        traceparent=record["traceparent"],
        time=record["time"],
        payload=record["payload"],
    )


def _payload(event: model.Event) -> Message:
    own = [field.name for field in dataclasses.fields(event) if field.name not in _BASE]
    # organisation_id and the like are often fields of the message too.
    shared = [name for name in _BASE if name in _message(event.type).DESCRIPTOR.fields_by_name]
    return _message(event.type)(**{name: getattr(event, name) for name in (*own, *shared)})


@functools.cache
def _message(name: str) -> type[Message]:
    if name not in contract().events:
        raise KeyError(f"{name} is no event of the contract")
    return message_factory.GetMessageClass(contract().pool.FindMessageTypeByName(name))
