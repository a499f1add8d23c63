"""Running one event's handler."""

from __future__ import annotations

from dataclasses import replace

import asyncpg
import pytest
import structlog
from tulle.auth.v1 import events_pb2
from tulle.event.v1 import event_pb2

from infra import limits
from infra.events.handling import HandlerFailed, Handlers
from infra.events.received import Received, Upgrade
from mesh import trace
from mesh.call import Work, working
from mesh.contract import Contract, contract

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
CREATED = event_pb2.Event(
    event_id="event_1",
    type="tulle.auth.v1.AccountCreated",
    source="auth",
    aggregate_id="user_1",
    aggregate_seq=1,
    traceparent=TRACE,
    payload=events_pb2.AccountCreated(user_id="user_1").SerializeToString(),
)


async def test_a_handler_works_for_its_event() -> None:
    """Calls that a handler makes are caused by the event: its id, its trace, and no longer than the handler."""
    seen: list[Work | None] = []

    async def handler(event: Received) -> None:
        seen.append(working.get())

    handlers = Handlers("users", {events_pb2.AccountCreated: handler}, contract())
    await handlers.handle(CREATED)
    (work,) = seen
    assert work is not None
    assert (work.request_id, work.traceparent[:36]) == ("event_1", TRACE[:36])
    assert 0 < work.remaining() <= limits.HANDLER_TIMEOUT
    assert working.get() is None


@pytest.mark.parametrize("flag", ["01", "00"])
async def test_a_recorded_trace_has_the_handler(flag: str) -> None:
    """A handler is a span between its event's and those of its calls, told if the trace is recorded."""
    calls: list[str] = []

    async def handler(event: Received) -> None:
        work = working.get()
        assert work is not None
        calls.append(trace.span_id(work.traceparent))
        raise LookupError

    event = event_pb2.Event()
    event.CopyFrom(CREATED)
    event.traceparent = TRACE[:-2] + flag
    handlers = Handlers("users", {events_pb2.AccountCreated: handler}, contract())
    with structlog.testing.capture_logs() as told, pytest.raises(HandlerFailed):
        await handlers.handle(event)
    spans = [(one["span_id"], one["parent_id"], one["name"]) for one in told if one["event"] == "span"]
    assert spans == ([(calls[0], trace.span_id(TRACE), event.type)] if flag == "01" else [])


@pytest.mark.parametrize(
    "error", [asyncpg.QueryCanceledError(), asyncpg.DiskFullError(), asyncpg.AdminShutdownError(), TimeoutError()]
)
def test_a_database_that_cannot_passes(error: Exception) -> None:
    """A database that is too slow, full or going down fails no event for good, also where a handler is told."""
    assert HandlerFailed(error).transient
    assert not HandlerFailed(asyncpg.NotNullViolationError()).transient


async def test_a_failed_handler_leaves_nothing_behind() -> None:
    """What fails, fails as HandlerFailed, told without its message; the next work is not taken for this event's."""

    async def handler(event: Received) -> None:
        raise LookupError(event.event_id)

    handlers = Handlers("users", {events_pb2.AccountCreated: handler}, contract())
    with pytest.raises(HandlerFailed, match=r"LookupError \(.*test_handling") as failed:
        await handlers.handle(CREATED)
    assert "event_1" not in str(failed.value)
    assert working.get() is None


def _versions(version: int) -> Contract:
    """The contract, with AccountCreated in a later version."""
    known = contract()
    name = "tulle.auth.v1.AccountCreated"
    return replace(known, events={**known.events, name: replace(known.events[name], schema_version=version)})


def _of_version(version: int) -> event_pb2.Event:
    event = event_pb2.Event()
    event.CopyFrom(CREATED)
    event.schema_version = version
    return event


def _first(payload: events_pb2.AccountCreated) -> events_pb2.AccountCreated:
    return events_pb2.AccountCreated(user_id=f"{payload.user_id}+1")


def _second(payload: events_pb2.AccountCreated) -> events_pb2.AccountCreated:
    return events_pb2.AccountCreated(user_id=f"{payload.user_id}+2")


@pytest.mark.parametrize(("version", "seen"), [(0, "user_1+1+2"), (1, "user_1+1+2"), (2, "user_1+2"), (3, "user_1")])
async def test_an_old_event_is_upgraded_step_by_step(version: int, seen: str) -> None:
    """A handler knows one version only: whatever was in a stream or an outbox is made into it."""
    had: list[tuple[str, int]] = []

    async def handler(event: Received) -> None:
        had.append((event.payload.user_id, event.schema_version))

    upgrades = {events_pb2.AccountCreated: (_first, _second)}
    handlers = Handlers("users", {events_pb2.AccountCreated: handler}, _versions(3), upgrades)
    await handlers.handle(_of_version(version))
    assert had == [(seen, 3)]


async def test_an_event_newer_than_its_consumer_waits() -> None:
    """In a rolling upgrade the producer may be first: the event is tried until the consumer has caught up."""

    async def handler(event: Received) -> None:
        raise AssertionError

    handlers = Handlers("users", {events_pb2.AccountCreated: handler}, contract())
    with pytest.raises(HandlerFailed) as failed:
        await handlers.handle(_of_version(2))
    assert failed.value.transient


@pytest.mark.parametrize("steps", [(), (_first,), (_first, _second, _first)])
def test_a_consumer_that_cannot_upgrade_does_not_start(steps: tuple[Upgrade, ...]) -> None:
    """Exactly the upgrades from the first version to that of the contract."""

    async def handler(event: Received) -> None:
        """Never called."""

    with pytest.raises(ValueError, match="AccountCreated needs 2 upgrades"):
        Handlers("users", {events_pb2.AccountCreated: handler}, _versions(3), {events_pb2.AccountCreated: steps})
