"""Rules for event messages (tulle.policy.v1.event)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from codegen.project import Project
from codegen.rules.finding import Finding
from codegen.source import EVENT, FIELD
from mesh import contract
from mesh.contract import Event
from services.topology import EVENTS


def found(project: Project, event: Event, word: str, what: str, fix: str) -> Finding:
    """A finding at the line of the event's policy that has `word`."""
    return Finding(project.source.where(event.message, EVENT, word), f"{event.message} {what}", fix)


def have_a_subject(project: Project) -> Iterator[Finding]:
    for event in project.contract.events.values():
        token = event.subject.split(".", 2)[2]
        if not re.fullmatch(r"[a-z][a-z0-9_]*", token):
            what = f"has the subject `{token}`" if token else "has no subject"
            yield found(project, event, "subject", what, 'name it in lower_snake_case: subject: "thing_happened"')


def subjects_differ(project: Project) -> Iterator[Finding]:
    seen: dict[str, str] = {}
    for event in project.contract.events.values():
        first = seen.setdefault(event.subject, event.message)
        if first != event.message:
            what = f"and {first} are both published on {event.subject}"
            yield found(project, event, "subject", what, "give each event a subject of its own")


def say_how_long_they_are_kept(project: Project) -> Iterator[Finding]:
    for event in project.contract.events.values():
        if event.retention <= 0:
            fix = "say how long the stream keeps it: retention: {seconds: 604800}"
            yield found(project, event, "retention", "has no retention", fix)


def consumers_exist(project: Project) -> Iterator[Finding]:
    names = {workload.name for workload in project.workloads if workload.module}
    for event in project.contract.events.values():
        for consumer in sorted(event.consumers - names):
            what = f"may be consumed by `{consumer}`, which is no service"
            fix = f"take one of {', '.join(sorted(names))}, or add a row to services/topology.py"
            yield found(project, event, consumer, what, fix)


def carry_nothing_private(project: Project) -> Iterator[Finding]:
    """Streams are kept and copied: who needs an address asks its owner."""
    for event in project.contract.events.values():
        for field in _fields(project.contract.pool.FindMessageTypeByName(event.message), frozenset()):
            if contract.sensitive(field, project.contract.pool):
                what = f"{event.message} carries {field.full_name}, which is marked personal or secret"
                fix = "send an id instead; the consumer asks the owner for what it needs"
                yield Finding(project.source.where(field.full_name, FIELD), what, fix)


def are_shown_to_the_operator(project: Project) -> Iterator[Finding]:
    """Nobody's events wait, fail or die where no operator can see it."""
    for workload in project.workloads:
        if "nats" in workload.needs and EVENTS not in workload.serves:
            what = f"`{workload.name}` has events that no operator sees"
            fix = (
                "add EVENTS to its `serves`, and its EventsServicer and Backlogs to main.py as services/users has them"
            )
            yield Finding("services/topology.py", what, fix)


def _fields(message: Descriptor, seen: frozenset[str]) -> Iterator[FieldDescriptor]:
    for field in message.fields if message.full_name not in seen else ():
        yield field
        if field.message_type is not None:
            yield from _fields(field.message_type, seen | {message.full_name})


RULES = (
    have_a_subject,
    subjects_differ,
    say_how_long_they_are_kept,
    consumers_exist,
    carry_nothing_private,
    are_shown_to_the_operator,
)
