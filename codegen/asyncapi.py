"""The events as an AsyncAPI 3.0 document: what is announced where, by whom, and who hears of it."""

from __future__ import annotations

import json
from typing import Any

from google.protobuf.descriptor import Descriptor

from codegen import examples
from codegen.openapi import schemas
from codegen.project import Project
from infra.events import streams
from mesh.contract import Event

Json = dict[str, Any]

ENVELOPE = "tulle.event.v1.Event"
_ABOUT = (
    "What the services announce, over NATS JetStream. Every message is the envelope `tulle.event.v1.Event`, serialised "
    "as protobuf, with the event itself in `payload`; the schemas show both in protobuf's JSON. Events of one "
    "aggregate arrive in order, and each has its effect once with each consumer."
)
_HEADERS: Json = {
    "type": "object",
    "required": ["Nats-Msg-Id"],
    "properties": {
        "Nats-Msg-Id": {"type": "string", "description": "The event's id, by which the broker drops a repeat."},
        "Nats-TTL": {"type": "string", "description": "How long the stream keeps the event, such as `604800s`."},
        "traceparent": {"type": "string", "description": "The trace of what caused the event (W3C)."},
    },
}


def render(project: Project) -> str:
    """The document as JSON."""
    return json.dumps(document(project), indent=1, ensure_ascii=False) + "\n"


def document(project: Project) -> Json:
    """The document: a channel for each event, an operation for its producer and for each of its consumers."""
    events = sorted(project.contract.events.values(), key=lambda event: event.subject)
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Tulle", "version": "v1", "description": _ABOUT},
        "defaultContentType": "application/protobuf",
        "channels": {_key(event): _channel(project, event) for event in events},
        "operations": {name: operation for event in events for name, operation in _operations(project, event)},
        "components": {
            "messages": {_key(event): _message(project, event) for event in events},
            "schemas": _schemas(project, events),
        },
    }


def _key(event: Event) -> str:
    return event.message.removeprefix("tulle.")


def _channel(project: Project, event: Event) -> Json:
    days = event.retention / 86400
    return {
        "address": event.subject,
        "description": f"Kept for {days:g} day{'' if days == 1 else 's'} in the stream {streams.stream(event.domain)}.",
        "messages": {_key(event): {"$ref": f"#/components/messages/{_key(event)}"}},
    }


def _operations(project: Project, event: Event) -> list[tuple[str, Json]]:
    announced = [method.path for method in project.contract.methods if event.message in method.emits]
    summary = f"{event.domain} announces it"
    causes = f" after {', '.join(f'`{path}`' for path in announced)}." if announced else "."
    sent = {"action": "send", "summary": f"{summary}{causes}", **_through(event)}
    heard = [
        {
            "action": "receive",
            "summary": f"{workload} hears of it, by the durable consumer `{streams.durable(event, workload)}`.",
            **_through(event),
        }
        for workload in sorted(event.consumers)
    ]
    names = [f"{event.domain}.sends.{_key(event)}"]
    names += [f"{workload}.receives.{_key(event)}" for workload in sorted(event.consumers)]
    return list(zip(names, [sent, *heard], strict=True))


def _through(event: Event) -> Json:
    channel = f"#/channels/{_key(event)}"
    return {"channel": {"$ref": channel}, "messages": [{"$ref": f"{channel}/messages/{_key(event)}"}]}


def _message(project: Project, event: Event) -> Json:
    payload = {
        "description": f"A serialised `{event.message}`.",
        "contentMediaType": "application/protobuf",
        "contentSchema": {"$ref": f"#/components/schemas/{_key(event)}"},
    }
    properties = {"type": {"const": event.message}, "payload": payload}
    return {
        "name": event.message,
        "title": event.message.rpartition(".")[2],
        "summary": project.source.comment(event.message),
        "headers": _HEADERS,
        "payload": {"allOf": [{"$ref": "#/components/schemas/event.v1.Event"}, {"properties": properties}]},
        "x-payload-example": examples.of_message(project, _descriptor(project, event.message)),
    }


def _schemas(project: Project, events: list[Event]) -> Json:
    """The envelope, the events, and every message inside them."""
    roots = [_descriptor(project, name) for name in (ENVELOPE, *(event.message for event in events))]
    found = {root.full_name: root for root in roots}
    found |= {inner.full_name: inner for root in roots for inner in schemas.reachable(root)}
    return {
        schemas.name_of(message): schemas.of_message(project, message, closed=False)
        for _, message in sorted(found.items())
    }


def _descriptor(project: Project, name: str) -> Descriptor:
    found: Descriptor = project.contract.pool.FindMessageTypeByName(name)
    return found
