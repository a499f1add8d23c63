"""What each hop of a call costs: straight to the service, through its sidecar, through the gateway."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import grpc
from tulle.users.v1 import users_pb2 as pb
from tulle.users.v1 import users_pb2_grpc as rpc

from bench.load import connect, get
from bench.measure import Row
from bench.platform import Platform
from infra import ca
from mesh.identity import SECRET, XFCC
from services import topology

CALLS = 100
"""Of each door in a round, one at a time."""


async def rows(platform: Platform, rounds: int) -> list[Row]:
    """Median latency of one call at a time at each door, in rounds that take turns."""
    async with AsyncExitStack() as opened:
        doors = {
            "service's socket (gRPC)": await _direct(platform, opened),
            "sidecar, mTLS (gRPC)": await _sidecar(platform, opened),
            "gateway and sidecar (gRPC)": await _gateway(platform, opened),
            "gateway and sidecar (REST)": await _rest(platform),
        }
        measured: dict[str, list[float]] = {name: [] for name in doors}
        for _ in range(rounds + 1):
            for name, call in doors.items():
                measured[name].append(await _median(call))
    return [Row(name, tuple(values[1:]), "ms", "less") for name, values in measured.items()]


async def _median(call: Callable[[], Awaitable[Any]]) -> float:
    taken = []
    for _ in range(CALLS):
        started = time.perf_counter()
        await call()
        taken.append((time.perf_counter() - started) * 1000)
    return statistics.median(taken)


def _calls(platform: Platform, channel: grpc.aio.Channel, *more: tuple[str, str]) -> Callable[[], Awaitable[Any]]:
    stub: Any = rpc.UsersServiceStub(channel)
    tokens = itertools.cycle(platform.tokens)

    async def call() -> Any:
        metadata = (("authorization", f"Bearer {next(tokens)}"), *more)
        return await stub.GetProfile(pb.GetProfileRequest(), metadata=metadata, timeout=5)

    return call


async def _direct(platform: Platform, opened: AsyncExitStack) -> Callable[[], Awaitable[Any]]:
    """As the sidecar would call, with the proof that it adds."""
    stack = platform.layout
    channel = await opened.enter_async_context(grpc.aio.insecure_channel(f"unix:{stack.run / 'users.sock'}"))
    peer = f"By={topology.spiffe_id('users')};URI={topology.spiffe_id('gateway')}"
    return _calls(platform, channel, (SECRET, stack.secret("users", "sidecar")), (XFCC, peer))


async def _sidecar(platform: Platform, opened: AsyncExitStack) -> Callable[[], Awaitable[Any]]:
    stack = platform.layout
    identity = ca.read(stack.data / "certs" / "gateway")
    credentials = grpc.ssl_channel_credentials(identity.authority, identity.key, identity.certificate)
    options = (("grpc.ssl_target_name_override", "users"),)
    target = f"127.0.0.1:{stack.ports['users']}"
    channel = await opened.enter_async_context(grpc.aio.secure_channel(target, credentials, options=options))
    return _calls(platform, channel)


async def _gateway(platform: Platform, opened: AsyncExitStack) -> Callable[[], Awaitable[Any]]:
    target = f"127.0.0.1:{platform.layout.settings.http_port}"
    return _calls(platform, await opened.enter_async_context(grpc.aio.insecure_channel(target)))


async def _rest(platform: Platform) -> Callable[[], Awaitable[Any]]:
    port = platform.layout.settings.http_port
    (connection,) = await connect(port, 1)
    requests = itertools.cycle([get("/v1/users/me", port, token) for token in platform.tokens])

    async def call() -> None:
        if (status := await connection.ask(next(requests))) != b"200":
            raise SystemExit(f"a read over REST was answered with {status.decode()}")

    return call
