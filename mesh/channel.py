"""Calls to other services by name: deadline, metadata and typed errors for nothing.

users = channel.stub(UsersServiceStub)
profile = await users.GetProfile(GetProfileRequest(user_id=user_id))
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, TypeVar

import grpc
from google.rpc import status_pb2

from mesh import errors, model
from mesh.call import Call, current
from mesh.contract import NONE, Contract, Method, contract

Stub = TypeVar("Stub")
UNSAID = 5.0


class Channel:
    """The way to all other services, through our own sidecar. Stubs raise the classes of mesh.model."""

    def __init__(self, channel: grpc.aio.Channel, of: Contract | None = None) -> None:
        self._channel, self._contract = channel, of or contract()

    def stub(self, kind: Callable[[Any], Stub]) -> Stub:
        """A typed stub, such as `UsersServiceStub`."""
        return kind(self)

    def unary_unary(self, path: str, request_serializer: Any, response_deserializer: Any, **named: Any) -> Any:
        """For stubs: a callable for a unary method."""
        method = self._contract.method(path)
        callable_ = self._channel.unary_unary(path, request_serializer, response_deserializer)

        async def call(request: Any, timeout: float | None = None) -> Any:
            try:
                return await callable_(request, timeout=_timeout(method, timeout), metadata=_metadata(method))
            except grpc.aio.AioRpcError as error:
                raise decoded(error) from None

        return call

    def unary_stream(self, path: str, request_serializer: Any, response_deserializer: Any, **named: Any) -> Any:
        """For stubs: a callable for a server stream."""
        method = self._contract.method(path)
        callable_ = self._channel.unary_stream(path, request_serializer, response_deserializer)

        async def call(request: Any, timeout: float | None = None) -> AsyncIterator[Any]:
            try:
                async for reply in callable_(request, timeout=_timeout(method, timeout), metadata=_metadata(method)):
                    yield reply
            except grpc.aio.AioRpcError as error:
                raise decoded(error) from None

        return call


@contextlib.asynccontextmanager
async def open_channel(outbound: Path) -> AsyncIterator[Channel]:
    """The channel through the sidecar's socket `outbound`."""
    options = (("grpc.default_authority", "mesh"), ("grpc.keepalive_time_ms", 60_000))
    async with grpc.aio.insecure_channel(f"unix:{outbound}", options=options) as channel:
        yield Channel(channel)


@contextlib.asynccontextmanager
async def open_mutual(
    target: str, workload: str, authority: bytes, key: bytes, certificate: bytes
) -> AsyncIterator[Channel]:
    """The channel to the sidecar of `workload` at `target`, for callers without a sidecar of their own (PEM)."""
    credentials = grpc.ssl_channel_credentials(authority, key, certificate)
    options = (("grpc.ssl_target_name_override", workload),)
    async with grpc.aio.secure_channel(target, credentials, options) as channel:
        yield Channel(channel)


def _timeout(method: Method, asked: float | None) -> float:
    call = current.get()
    limits = [method.deadline, *([asked] if asked is not None else []), *([call.remaining()] if call else [])]
    return max(0.0, min(limits))


def _metadata(method: Method) -> tuple[tuple[str, str], ...]:
    call: Call | None = current.get()
    if call is None:
        return ()
    pairs = [("x-request-id", call.caller.request_id), ("traceparent", call.caller.traceparent)]
    if call.token and method.end_user != NONE:
        pairs.append(("authorization", f"Bearer {call.token}"))
    return tuple((key, value) for key, value in pairs if value)


def decoded(error: grpc.aio.AioRpcError) -> model.Error:
    """The typed error that a status stands for, with reason, metadata and violations."""
    trailers = {key: value for key, value in error.trailing_metadata() or ()}
    status = status_pb2.Status.FromString(trailers.get("grpc-status-details-bin", b""))
    return errors.from_status(error.code().value[0], error.details() or "", status)
