"""The handlers of one workload, and what happens when one of them fails."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Mapping
from types import MappingProxyType

import structlog
from nats.aio.msg import Msg
from tulle.event.v1 import event_pb2

from infra import limits
from infra.events.received import Subscriptions, Unreadable, Upgrades, decode, payload_of, received, verified
from infra.postgres import COLLISIONS, GONE
from mesh import model, trace
from mesh.call import Work, working
from mesh.contract import Contract, Event
from mesh.lines import story

log = structlog.get_logger(__name__)

EMPTY: Upgrades = MappingProxyType({})
_STORY = (("error", "where"), ("cause", "cause_where"))
_TRANSIENT = (model.Unavailable, model.Exhausted, model.DeadlineExceeded, model.Conflict, OSError, *GONE)
"""GONE too: in the ambient transaction PostgreSQL's errors have no other types yet."""


class HandlerFailed(Exception):
    """What a handler raised, apart from what went wrong around it.

    Its text is for logs and dead letters, so it has types and places, never messages: they may quote
    an address or a row.
    """

    def __init__(self, cause: Exception) -> None:
        told = story(cause)
        causes = [f"{told[name]} ({'; '.join(told[where][-2:])})" for name, where in _STORY if name in told]
        super().__init__(" from ".join(causes)[: limits.ERROR_KEPT])
        self.transient = isinstance(cause, _TRANSIENT)
        """Whether it passes by itself. (TimeoutError is an OSError.)"""


class Handlers:
    """Who handles which event. Raises: ValueError unless these are what the contract has for the workload."""

    def __init__(
        self, workload: str, subscriptions: Subscriptions, contract: Contract, upgrades: Upgrades = EMPTY
    ) -> None:
        self._workload = workload
        self._events = contract.events
        self._handlers = {message.DESCRIPTOR.full_name: (message, h) for message, h in subscriptions.items()}
        consumed = {name for name, event in self._events.items() if workload in event.consumers}
        if consumed != set(self._handlers):
            odd = ", ".join(sorted(consumed ^ set(self._handlers)))
            raise ValueError(f"{workload}: the contract and the subscriptions differ in {odd}")
        self._upgrades = {message.DESCRIPTOR.full_name: tuple(steps) for message, steps in upgrades.items()}
        for name in sorted(consumed | set(self._upgrades)):
            _require_all(workload, name, len(self._upgrades.get(name, ())), self._events)

    @property
    def events(self) -> Collection[Event]:
        """The events that are handled."""
        return [self._events[name] for name in self._handlers]

    def readable(self, message: Msg) -> event_pb2.Event:
        """The event of a message. Raises: Unreadable."""
        decoded = decode(message.data)
        event = verified(decoded, self._events.get(decoded.type), message)
        if event.type not in self._handlers:
            raise Unreadable(f"{event.type} is not for {self._workload}")
        payload_of(event, self._handlers[event.type][0])
        return event

    async def handle(self, event: event_pb2.Event) -> None:
        """Run the event's handler, in the ambient transaction. Raises: HandlerFailed; COLLISIONS."""
        began, work = time.perf_counter(), _work(event)
        before = working.set(work)
        try:
            message, handler = self._handlers[event.type]
            async with asyncio.timeout(limits.HANDLER_TIMEOUT):
                await handler(received(event, message, self._workload, self._upgrades.get(event.type, ())))
        except COLLISIONS:
            raise  # the transaction is run again
        except Exception as error:
            raise HandlerFailed(error) from error
        finally:
            working.reset(before)
            _tell_span(event, work, time.perf_counter() - began)
        log.info(
            "event",
            type=event.type,
            event_id=event.event_id,
            source=event.source,
            causation_id=event.causation_id,
            trace_id=trace.trace_id(event.traceparent),
            ms=round((time.perf_counter() - began) * 1000, 2),
        )


def _require_all(workload: str, name: str, steps: int, events: Mapping[str, Event]) -> None:
    """Raises: ValueError unless the upgrades lead from the first version to that of the contract."""
    wanted = events[name].schema_version - 1 if name in events and workload in events[name].consumers else 0
    if steps != wanted:
        raise ValueError(f"{workload}: {name} needs {wanted} upgrades up to the contract's version, there are {steps}")


def _work(event: event_pb2.Event) -> Work:
    """Calls that the handler makes are caused by the event, in its trace and within its time."""
    return Work(time.monotonic() + limits.HANDLER_TIMEOUT, event.event_id, trace.child(event.traceparent, 0.0))


def _tell_span(event: event_pb2.Event, work: Work, seconds: float) -> None:
    """What a recorded trace has of the handler, whose calls and events are under it."""
    if trace.sampled(work.traceparent):
        log.info(
            "span",
            name=event.type,
            trace_id=trace.trace_id(work.traceparent),
            span_id=trace.span_id(work.traceparent),
            parent_id=trace.span_id(event.traceparent),
            start=round(time.time() - seconds, 6),
            seconds=round(seconds, 6),
        )
