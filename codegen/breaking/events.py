"""Breaks in events (tulle.policy.v1.event)."""

from __future__ import annotations

from collections.abc import Iterator

from codegen.breaking.breaks import Break, Change, callers
from mesh.contract import Event


def _both(change: Change) -> list[tuple[Event, Event]]:
    """(Messages that are gone are buf's to find.)"""
    known = change.new.events
    return [(event, known[event.message]) for event in change.old.events.values() if event.message in known]


def _found(change: Change, aspect: str, new: Event, what: str, whom: str, instead: str, part: str = "") -> Break:
    return Break(f"{new.message} {part}".strip(), aspect, what, whom, instead, change.where(new.message))


def marks(change: Change) -> Iterator[Break]:
    """A message that was an event and is none any more."""
    for name, old in change.old.events.items():
        if name not in change.new.events and change.message(name) is not None:
            whom = callers(old.consumers) or "whoever replays it"
            instead = "keep it an event as long as a stream or an outbox holds one"
            yield Break(name, "event", "it is no event any more", whom, instead, change.where(name))


def subjects(change: Change) -> Iterator[Break]:
    """Where it is published."""
    for old, new in _both(change):
        if old.subject != new.subject:
            what = f"it moves from `{old.subject}` to `{new.subject}`, away from what is in the stream and the outbox"
            whom = callers(old.consumers) or "whoever replays it"
            yield _found(change, "subject", new, what, whom, "publish a new event message beside it")


def retentions(change: Change) -> Iterator[Break]:
    """How long a consumer may be away."""
    for old, new in _both(change):
        if new.retention < old.retention:
            what = f"the stream keeps it {new.retention:g} s instead of {old.retention:g} s"
            whom = f"{callers(old.consumers) or 'consumers'}, after being away longer"
            yield _found(change, "retention", new, what, whom, "keep it as long as before")


def consumers(change: Change) -> Iterator[Break]:
    """Who hears of it."""
    for old, new in _both(change):
        for gone in sorted(old.consumers - new.consumers):
            what = f"`{gone}` does not hear of it any more: its durable consumer goes, with what waits there"
            instead = "let the workload stop needing it first"
            yield _found(change, "consumers", new, what, callers({gone}), instead, gone)


def versions(change: Change) -> Iterator[Break]:
    """What it means. A newer version is no break: consumers do not start without an upgrade to it."""
    for old, new in _both(change):
        if new.schema_version < old.schema_version:
            what = f"version {old.schema_version} becomes {new.schema_version}: what is in the stream counts as newer"
            whom = callers(old.consumers) or "whoever replays it"
            yield _found(change, "schema_version", new, what, whom, "give it the next version, not an old one")


ASPECTS = (marks, subjects, retentions, consumers, versions)
