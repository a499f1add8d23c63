"""What happens around every handler, as one ordered list of small steps.

A step takes a method and the rest of its pipeline and gives back the rest with something around it;
where a method does not need it, it gives back the rest as it is. Steps are composed once, when
handlers are collected, and know no transport. docs/adr/0006-own-pipeline.md says why they are ours.
"""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable, Mapping

from mesh import errors, identity, messages, policy, trace, validation
from mesh.app import App
from mesh.call import Call, Incoming, Proceed, Step, current
from mesh.capacity import Capacity
from mesh.contract import Method
from mesh.deadline import Deadlines
from mesh.enduser import EndUser
from mesh.idempotency import Once
from mesh.limits import REQUEST_ID_LONGEST
from mesh.streams import Streams
from mesh.telemetry import Telemetry

Run = Callable[[bytes, Incoming], Awaitable[bytes]]
"""What a transport calls: request bytes to answer bytes (empty for a stream). Raises only what a caller is told."""


class Pipeline:
    """The steps around the handlers of one app."""

    def __init__(self, app: App, telemetry: Telemetry) -> None:
        self._trace_ratio = telemetry.trace_ratio
        self.streams = Streams()
        self.steps: tuple[Step, ...] = (
            telemetry.observed,
            errors.mapped,
            Capacity().bounded,
            Deadlines().bounded,
            identity.known,
            policy.caller,
            EndUser(app.tokens, app.sessions).authenticated,
            policy.end_user,
            messages.decoded,
            validation.valid,
            self.streams.kept,
            Once(app.idempotency).answered,
        )

    def unary(self, method: Method, handler: messages.Unary) -> Run:
        """A unary `handler` with everything around it."""
        return self._run(method, messages.answered(handler))

    def stream(self, method: Method, handler: messages.Stream) -> Run:
        """The `handler` of a server stream with everything around it."""
        return self._run(method, messages.streamed(handler))

    def _run(self, method: Method, handler: Proceed) -> Run:
        inside = composed(self.steps, method, handler)

        async def run(request: bytes, incoming: Incoming) -> bytes:
            call = begin(method, incoming, self._trace_ratio)
            before = current.set(call)
            try:
                return await inside(request, call)
            finally:
                current.reset(before)

        return run


def composed(steps: tuple[Step, ...], method: Method, handler: Proceed) -> Proceed:
    """`handler` with `steps` around it, the first outermost."""
    inside = handler
    for step in reversed(steps):
        inside = step(method, inside)
    return inside


def begin(method: Method, incoming: Incoming, trace_ratio: float) -> Call:
    """The call as it stands before anything is checked."""
    metadata = incoming.metadata
    timeout = method.deadline if incoming.timeout is None else min(incoming.timeout, method.deadline)
    return Call(
        method=method,
        peer=incoming.peer,
        deadline=time.monotonic() + timeout,
        request_id=_request_id(metadata.get("x-request-id", "")),
        traceparent=trace.child(metadata.get("traceparent", ""), trace_ratio),
        metadata=metadata,
        token=_token(metadata),
        send=incoming.send,
    )


def _request_id(given: str) -> str:
    """The caller's, or a new one if that is not fit for a log."""
    fit = 0 < len(given) <= REQUEST_ID_LONGEST and given.isascii() and given.isprintable()
    return given if fit else f"{random.getrandbits(128):032x}"


def _token(metadata: Mapping[str, str]) -> str:
    """The end user's token; what is no bearer token is kept whole, to be refused as a bad one."""
    header = metadata.get("authorization", "")
    return (header[7:].strip() if header[:7].lower() == "bearer " else "") or header
