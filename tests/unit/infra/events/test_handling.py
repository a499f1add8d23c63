"""Running one event's handler."""

from __future__ import annotations

import pytest
import structlog
from tulle.auth.v1 import events_pb2
from tulle.event.v1 import event_pb2

from infra import limits
from infra.events.handling import HandlerFailed, Handlers
from infra.events.received import Received
from mesh import trace
from mesh.call import Work, working
from mesh.contract import contract

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


async def test_a_failed_handler_leaves_nothing_behind() -> None:
    """What fails, fails as HandlerFailed, told without its message; the next work is not taken for this event's."""

    async def handler(event: Received) -> None:
        raise LookupError(event.event_id)

    handlers = Handlers("users", {events_pb2.AccountCreated: handler}, contract())
    with pytest.raises(HandlerFailed, match=r"LookupError \(.*test_handling") as failed:
        await handlers.handle(CREATED)
    assert "event_1" not in str(failed.value)
    assert working.get() is None
