"""What happens around every handler, as one ordered list of small steps.

A step is `async (request, call, proceed) -> reply`: it may refuse, change the call, and do something
after `proceed`. The steps are composed once, when handlers are collected, and know no transport.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from google.protobuf.message import Message

from mesh import errors, trace
from mesh.app import App
from mesh.call import Call, Peer, current
from mesh.contract import NONE, REQUIRED, Method
from mesh.model import Caller, DeadlineExceeded, Denied, Error, Unauthenticated, require
from mesh.telemetry import Telemetry
from mesh.validation import validate

Proceed = Callable[[Message, Call], Awaitable[Any]]
Step = Callable[[Message, Call, Proceed], Awaitable[Any]]

NO_END_USER = ""


@dataclass(frozen=True, slots=True)
class Incoming:
    """A call as the transport knows it. `timeout`: seconds that the client gives, None for no limit."""

    peer: Peer
    metadata: Mapping[str, str]
    timeout: float | None = None


class NoEndUser(Unauthenticated):
    """This method needs an access token; send it as `authorization: Bearer …`."""


class CallerNotAllowed(Denied):
    """This workload may not call this method."""


class RoleMissing(Denied):
    """This needs a role that you do not hold."""


class TokenRanOut(Unauthenticated):
    """The access token has expired; refresh it and open the stream again."""


NoEndUser.reason = TokenRanOut.reason = Unauthenticated.reason
CallerNotAllowed.reason = RoleMissing.reason = Denied.reason


class Pipeline:
    """The steps around the handlers of one app."""

    def __init__(self, app: App, telemetry: Telemetry) -> None:
        self._app, self._telemetry = app, telemetry
        self.steps: tuple[Step, ...] = (
            self.workload,
            self.end_user,
            self.role,
            self.validation,
            self.idempotency,
        )

    def unary(self, method: Method, handler: Proceed) -> Callable[[Message, Incoming], Awaitable[Message]]:
        """`handler` with everything around it."""
        inside = self._composed(handler)

        async def run(request: Message, incoming: Incoming) -> Message:
            call = self._call(method, incoming)
            started = time.perf_counter()
            token = current.set(call)
            try:
                async with asyncio.timeout(call.remaining()):
                    reply: Message = await inside(request, call)
            except BaseException as error:
                raise self._failed(call, started, error) from error
            finally:
                current.reset(token)
            self._telemetry.finished(call, started, None)
            return reply

        return run

    async def workload(self, request: Message, call: Call, proceed: Proceed) -> Any:
        """Only workloads that the contract names may call."""
        require(call.caller.workload in call.method.callers, CallerNotAllowed)
        return await proceed(request, call)

    async def end_user(self, request: Message, call: Call, proceed: Proceed) -> Any:
        """The access token is valid where there is one, and there is one where it is required."""
        if call.method.end_user == NONE:
            return await proceed(request, replace(call, token=""))
        if not call.token:
            require(call.method.end_user != REQUIRED, NoEndUser)
            return await proceed(request, call)
        user, expires = await self._app.tokens.verify(call.token)
        if call.method.fresh:
            user = await self._app.sessions.check(user)
        call = replace(call, caller=replace(call.caller, user=user), expires=expires)
        current.set(call)
        return await proceed(request, call)

    async def role(self, request: Message, call: Call, proceed: Proceed) -> Any:
        """The end user holds one of the roles that the contract names."""
        if call.method.roles:
            require(call.method.roles & call.caller.signed_in.roles, RoleMissing)
        return await proceed(request, call)

    async def validation(self, request: Message, call: Call, proceed: Proceed) -> Any:
        """The request keeps the rules of its contract."""
        validate(request)
        return await proceed(request, call)

    async def idempotency(self, request: Message, call: Call, proceed: Proceed) -> Any:
        """The same request id has one effect and one answer (AIP-155)."""
        port, method = self._app.idempotency, call.method
        if port is None or not method.request_id or not request.request_id:  # type: ignore[attr-defined]
            return await proceed(request, call)
        reply: Message | None = None

        async def run() -> bytes:
            nonlocal reply
            reply = await proceed(request, call)
            return reply.SerializeToString()

        digest = hashlib.sha256(request.SerializeToString(deterministic=True)).digest()
        stored = await port.once(
            call.caller.principal, method.path, request.request_id, digest, run, not method.returns_secret
        )
        return reply if reply is not None else _message(method.output).FromString(stored)

    def stream(
        self, method: Method, handler: Callable[[Message, Call], AsyncIterator[Message]]
    ) -> Callable[[Message, Incoming], AsyncIterator[Message]]:
        """`handler` of a server stream with everything around it; the deadline is its longest life."""

        async def opened(request: Message, call: Call) -> tuple[AsyncIterator[Message], Call]:
            return handler(request, call), call

        inside = self._composed(opened)

        async def run(request: Message, incoming: Incoming) -> AsyncIterator[Message]:
            call = self._call(method, incoming)
            started = time.perf_counter()
            try:
                async with asyncio.timeout(call.remaining()):
                    replies, call = await inside(request, call)
                    while True:
                        try:
                            reply = await self._next(replies, call)
                        except StopAsyncIteration:
                            break
                        yield reply
            except BaseException as error:
                raise self._failed(call, started, error) from error
            self._telemetry.finished(call, started, None)

        return run

    async def _next(self, replies: AsyncIterator[Message], call: Call) -> Message:
        left = call.expires - time.time()
        if left == float("inf"):
            return await anext(replies)
        try:
            async with asyncio.timeout(left) as limit:
                return await anext(replies)
        except TimeoutError:
            if limit.expired():
                raise TokenRanOut from None
            raise

    def _composed(self, handler: Proceed) -> Proceed:
        inside = handler
        for step in reversed(self.steps):
            inside = functools.partial(_with, step, inside)
        return inside

    def _call(self, method: Method, incoming: Incoming) -> Call:
        metadata = incoming.metadata
        timeout = method.deadline if incoming.timeout is None else min(incoming.timeout, method.deadline)
        scheme, _, token = metadata.get("authorization", "").partition(" ")
        return Call(
            method=method,
            caller=Caller(
                workload=incoming.peer.workload,
                request_id=metadata.get("x-request-id", ""),
                traceparent=trace.child(metadata.get("traceparent", ""), self._telemetry.trace_ratio),
                address=incoming.peer.address,
            ),
            deadline=time.monotonic() + timeout,
            metadata=metadata,
            token=token.strip() if scheme.lower() == "bearer" else NO_END_USER,
        )

    def _failed(self, call: Call, started: float, error: BaseException) -> BaseException:
        """What the caller is told in place of `error`."""
        told = _told(call.method, error)
        self._telemetry.finished(call, started, told, error)
        return told


def _told(method: Method, error: BaseException) -> BaseException:
    if isinstance(error, TimeoutError):
        return DeadlineExceeded()
    if isinstance(error, Error):
        return error if error.reason in method.reasons or error.reason in errors.PLATFORM else errors.Internal()
    return errors.Internal() if isinstance(error, Exception) else error


async def _with(step: Step, proceed: Proceed, request: Message, call: Call) -> Any:
    return await step(request, call, proceed)


@functools.cache
def _message(name: str) -> type[Message]:
    from google.protobuf import message_factory, symbol_database

    return message_factory.GetMessageClass(symbol_database.Default().pool.FindMessageTypeByName(name))
