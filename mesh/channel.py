"""Calls to other services by name: deadline, metadata and typed errors for nothing.

users = channel.stub(UsersServiceStub)
profile = await users.GetProfile(GetProfileRequest(user_id=user_id))
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import grpc
from google.protobuf.message import DecodeError
from google.rpc import status_pb2

from mesh import errors, limits, model, trace
from mesh.call import current, working
from mesh.contract import NONE, Contract, Method, contract
from services import topology

Stub = TypeVar("Stub")
STATUS_DETAILS = "grpc-status-details-bin"
_OPTIONS = (
    ("grpc.max_receive_message_length", limits.MESSAGE_BYTES),
    ("grpc.keepalive_time_ms", int(limits.KEEPALIVE * 1000)),
    ("grpc.keepalive_timeout_ms", int(limits.KEEPALIVE_WAIT * 1000)),
    # The default waits up to two minutes before it looks again whether the sidecar is back.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", int(limits.RECONNECT_LONGEST * 1000)),
    # Retries happen in one place: the sidecar, within its budget.
    ("grpc.enable_retries", 0),
)


class Channel:
    """The way to all other services, through our own sidecar. Stubs raise the classes of mesh.model.

    A call takes at most the contract's deadline, the rest of the call that we serve, and `timeout`.
    """

    def __init__(self, channel: grpc.aio.Channel, of: Contract | None = None) -> None:
        self._channel, self._contract = channel, of or contract()

    def stub(self, kind: Callable[[grpc.aio.Channel], Stub]) -> Stub:
        """A typed stub, of the class `UsersServiceStub` and the like."""
        return kind(cast(grpc.aio.Channel, self))

    def unary_unary(self, path: str, request_serializer: Any, response_deserializer: Any, **named: Any) -> Any:
        """For stubs: a callable for a unary method."""
        method = self._contract.method(path)
        callable_ = self._channel.unary_unary(path, request_serializer, response_deserializer)

        async def call(request: Any, timeout: float | None = None) -> Any:  # noqa: ASYNC109 (as stubs have it)
            seconds = _timeout(method, timeout)
            try:
                return await callable_(request, timeout=seconds, metadata=_metadata(method))
            except grpc.aio.AioRpcError as error:
                raise decoded(error) from None

        return call

    def unary_stream(self, path: str, request_serializer: Any, response_deserializer: Any, **named: Any) -> Any:
        """For stubs: a callable for a server stream."""
        method = self._contract.method(path)
        callable_ = self._channel.unary_stream(path, request_serializer, response_deserializer)

        async def call(request: Any, timeout: float | None = None) -> AsyncIterator[Any]:  # noqa: ASYNC109 (as stubs have it)
            stream = callable_(request, timeout=_timeout(method, timeout), metadata=_metadata(method))
            try:
                async for reply in stream:
                    yield reply
            except grpc.aio.AioRpcError as error:
                raise decoded(error) from None
            finally:
                stream.cancel()

        return call


class _Doors:
    """Connections to one sidecar, one for each workload that is called: its name is the connection's authority."""

    def __init__(self, target: str, contract: Contract) -> None:
        self._target, self._contract = target, contract
        self._open: dict[str, grpc.aio.Channel] = {}

    def unary_unary(self, path: str, *serializers: Any) -> Any:
        return self._to(path).unary_unary(path, *serializers)

    def unary_stream(self, path: str, *serializers: Any) -> Any:
        return self._to(path).unary_stream(path, *serializers)

    def _to(self, path: str) -> grpc.aio.Channel:
        authority = topology.authority(self._contract.owner(path.split("/")[1]).name)
        if authority not in self._open:
            options = [*_OPTIONS, ("grpc.default_authority", authority)]
            self._open[authority] = grpc.aio.insecure_channel(self._target, options=options)
        return self._open[authority]

    async def close(self) -> None:
        await asyncio.gather(*(channel.close() for channel in self._open.values()))


@contextlib.asynccontextmanager
async def open_channel(outbound: Path, of: Contract | None = None) -> AsyncIterator[Channel]:
    """The channel through the sidecar's socket `outbound`. `of`: the contract, if it is not that of this build."""
    named = of or contract()
    doors = _Doors(f"unix:{outbound}", named)
    try:
        yield Channel(cast(grpc.aio.Channel, doors), named)
    finally:
        await doors.close()


@contextlib.asynccontextmanager
async def open_mutual(
    target: str, workload: str, authority: bytes, key: bytes, certificate: bytes
) -> AsyncIterator[Channel]:
    """The channel to the sidecar of `workload` at `target`, for callers without a sidecar of their own (PEM)."""
    credentials = grpc.ssl_channel_credentials(authority, key, certificate)
    options = (*_OPTIONS, ("grpc.ssl_target_name_override", workload))
    async with grpc.aio.secure_channel(target, credentials, options=options) as channel:
        yield Channel(channel)


def _timeout(method: Method, asked: float | None) -> float:
    """Raises: DeadlineExceeded if the call that we serve has no time left."""
    call = current.get() or working.get()
    limit = min(method.deadline, *([] if asked is None else [asked]), *([call.remaining()] if call else []), 1e9)
    if limit <= 0:
        raise model.DeadlineExceeded
    return limit


def _metadata(method: Method) -> tuple[tuple[str, str], ...]:
    """With neither a call nor an event as its cause, a trace begins here."""
    call = current.get() or working.get()
    if call is None:
        return (("x-request-id", f"{random.getrandbits(128):032x}"), ("traceparent", trace.child("", 0.0)))
    pairs = (("x-request-id", call.request_id), ("traceparent", call.traceparent))
    if call.token and method.end_user != NONE:
        return (*pairs, ("authorization", f"Bearer {call.token}"))
    return pairs


def decoded(error: grpc.aio.AioRpcError) -> model.Error:
    """The typed error that a status stands for, with reason, metadata and violations."""
    pairs: Any = error.trailing_metadata() or ()
    details = next((value for key, value in pairs if key == STATUS_DETAILS), b"")
    return errors.from_status(error.code().value[0], error.details() or "", _status(details))


def _status(details: bytes) -> status_pb2.Status:
    with contextlib.suppress(DecodeError):
        return status_pb2.Status.FromString(details)
    return status_pb2.Status()
