"""The server on a Unix socket, and the channel that calls it: over real gRPC."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc import status_pb2
from grpc_health.v1 import health_pb2 as pb
from grpc_health.v1.health_pb2_grpc import HealthStub
from grpc_reflection.v1alpha import reflection_pb2 as reflected
from grpc_reflection.v1alpha.reflection_pb2_grpc import ServerReflectionStub

from mesh import contract, health, limits
from mesh.call import Call, Peer, Work, current, working
from mesh.channel import STATUS_DETAILS, Channel
from mesh.health import Health, HealthServicer
from mesh.identity import SECRET, XFCC, SidecarIdentity
from mesh.model import DeadlineExceeded, Denied, Exhausted, Invalid, NotFound, Unauthenticated, Unavailable
from mesh.pipeline import Pipeline
from mesh.reflection import ReflectionServicer
from mesh.registry import collect
from mesh.transports import grpcaio
from services.topology import spiffe_id
from tests.unit.mesh.echo import ADA, ECHO, SERVICE, Echo, EchoLost, EchoStub, ask, until

PROOF = ((SECRET, "secret"), (XFCC, f"By={spiffe_id('users')};URI={spiffe_id('gateway')}"))
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


class Proving:
    """Plays the sidecar: a channel whose calls carry the proof."""

    def __init__(self, channel: grpc.aio.Channel, proof: Any = PROOF) -> None:
        self._channel, self._proof = channel, proof

    def unary_unary(self, *given: Any, **named: Any) -> Any:
        return self._with_proof(self._channel.unary_unary(*given, **named))

    def unary_stream(self, *given: Any, **named: Any) -> Any:
        return self._with_proof(self._channel.unary_stream(*given, **named))

    def _with_proof(self, method: Any) -> Any:
        def call(request: Any, timeout: float | None = None, metadata: Any = ()) -> Any:
            return method(request, timeout=timeout, metadata=(*self._proof, *metadata))

        return call


@dataclass
class Door:
    """A served echo. `raw` has grpc's own stubs, `stub` ours."""

    echo: Echo
    channel: grpc.aio.Channel
    socket: Path
    health: Health

    def raw(self, *proof: tuple[str, str]) -> Any:
        return EchoStub(Proving(self.channel, proof or PROOF))

    @property
    def stub(self) -> Any:
        return Channel(Proving(self.channel), self.echo.contract).stub(EchoStub)  # type: ignore[arg-type]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short one: the path of a socket has at most 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="tm-") as path:
        yield Path(path)


@asynccontextmanager
async def serve(echo: Echo, folder: Path) -> AsyncIterator[Door]:
    socket, identity, state = folder / "users.sock", SidecarIdentity("users", "secret"), Health()
    handlers = collect(echo.app, Pipeline(echo.app, echo.telemetry), echo.contract)
    server = grpcaio.server(handlers, identity, socket)
    HealthServicer(state).add_to(server)
    ReflectionServicer([SERVICE], identity).add_to(server)
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"unix:{socket}") as channel:
            yield Door(echo, channel, socket, state)
    finally:
        await server.stop(0.2)


@pytest.fixture
async def door(folder: Path) -> AsyncIterator[Door]:
    async with serve(Echo(policy={"reasons": frozenset({"ECHO_LOST"})}), folder) as made:
        yield made


async def test_calls_are_answered(door: Door) -> None:
    """A unary call and a stream go through socket and pipeline."""
    assert (await door.stub.Echo(ask("Ada"))).display_name == "Ada"
    assert [reply.display_name async for reply in door.stub.Repeat(ask("Ada"))] == ["Ada 1", "Ada 2", "Ada 3"]


async def test_errors_arrive_typed(door: Door) -> None:
    """A refusal of a unary call or a stream is the class of its status, with all its details."""
    door.echo.servicer.raises = {"lost": EchoLost(where="here")}
    with pytest.raises(NotFound) as lost:
        await door.stub.Echo(ask("lost"))
    assert (lost.value.reason, lost.value.domain, lost.value.metadata) == ("ECHO_LOST", "echo.tulle", {"where": "here"})
    with pytest.raises(NotFound):
        assert [reply async for reply in door.stub.Repeat(ask("lost"))] == []
    with pytest.raises(Invalid) as invalid:
        await door.stub.Echo(ask("x" * 81))
    assert invalid.value.violations[0].field == "profile.display_name"


async def test_a_refusal_is_a_status_with_details(door: Door) -> None:
    """On the wire it is code, message and google.rpc.Status (AIP-193)."""
    door.echo.servicer.raises = {"lost": EchoLost()}
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await door.raw().Echo(ask("lost"))
    trailers: Any = refused.value.trailing_metadata()
    status = status_pb2.Status.FromString(trailers[STATUS_DETAILS])
    assert refused.value.code() == grpc.StatusCode.NOT_FOUND
    assert (status.code, status.message) == (5, "There is no echo here.") == (5, refused.value.details())


@pytest.mark.parametrize(
    "proof",
    [
        ((XFCC, PROOF[1][1]),),
        ((SECRET, "guess"), PROOF[1]),
        (PROOF[0],),
        (*PROOF, PROOF[1]),
        (*PROOF, (XFCC, f"By={spiffe_id('users')};URI={spiffe_id('operator')}")),
        (*PROOF, PROOF[0]),
    ],
)
async def test_without_proof_nobody_comes_in(door: Door, proof: tuple[tuple[str, str], ...]) -> None:
    """No secret, a wrong one, no identity, or either of them twice: UNAUTHENTICATED."""
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await door.raw(*proof).Echo(ask())
    assert refused.value.code() == grpc.StatusCode.UNAUTHENTICATED
    assert door.echo.servicer.calls == []


async def test_a_message_that_is_none_is_invalid(door: Door) -> None:
    """Bytes that are no message are the caller's fault, not ours."""
    call: Any = door.channel.unary_unary(f"/{SERVICE}/Echo")
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call(b"\xff\xff", metadata=PROOF)
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT


async def test_unknown_methods_are_unimplemented(door: Door) -> None:
    """What is not in the contract is not there."""
    nothing: Any = door.channel.unary_unary(f"/{SERVICE}/Nothing")
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await nothing(b"", metadata=PROOF)
    assert refused.value.code() == grpc.StatusCode.UNIMPLEMENTED


async def test_messages_are_bounded(door: Door) -> None:
    """A message over MESSAGE_BYTES is refused before it is in memory."""
    call: Any = door.channel.unary_unary(f"/{SERVICE}/Echo")
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call(b"x" * (limits.MESSAGE_BYTES + 1), metadata=PROOF)
    assert refused.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_full_process_says_when_to_come_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond CONCURRENT_CALLS a call is refused at once, with RetryInfo; health still answers."""
    monkeypatch.setattr(limits, "CONCURRENT_CALLS", 2)
    async with serve(Echo(), folder) as door:
        slow = [asyncio.ensure_future(door.stub.Echo(ask("slow"))) for _ in range(2)]
        await asyncio.sleep(0.05)
        with pytest.raises(Exhausted) as refused:
            await door.stub.Echo(ask())
        assert refused.value.retry_after == limits.OVERLOAD_PAUSE
        await door.health.look()
        await health.check(door.socket)
        for call in slow:
            call.cancel()
        await asyncio.gather(*slow, return_exceptions=True)


async def test_deadlines_hold(folder: Path) -> None:
    """The contract's deadline ends a call, by the server's clock and by the caller's."""
    async with serve(Echo(policy={"deadline": 0.1}), folder) as door:
        started = time.monotonic()
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await door.raw().Echo(ask("slow"))
        assert refused.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
        with pytest.raises(DeadlineExceeded):
            await door.stub.Echo(ask("slow"))
        assert time.monotonic() - started < 1
        await until(lambda: door.echo.servicer.cancelled == 2)


@pytest.mark.parametrize("method", ["Echo", "Repeat"])
async def test_a_caller_that_goes_away_cancels_the_handler(door: Door, method: str) -> None:
    """Cancellation goes through the wire to the handler."""

    async def call() -> None:
        if method == "Echo":
            await door.stub.Echo(ask("slow"))
        else:
            async for _ in door.stub.Repeat(ask("slow")):
                pass

    calling = asyncio.ensure_future(call())
    await until(lambda: door.echo.servicer.calls)
    await asyncio.sleep(0.1)
    calling.cancel()
    await asyncio.gather(calling, return_exceptions=True)
    await until(lambda: door.echo.servicer.cancelled)


async def test_the_current_call_is_passed_on(folder: Path) -> None:
    """A stub passes on request id, trace, token and what is left of the deadline of the call that it serves."""
    async with serve(Echo(policy={"end_user": contract.REQUIRED}), folder) as door:
        served = Call(ECHO, Peer("gateway"), time.monotonic() + 0.5, "r1", TRACE, token=ADA)
        current.set(served)
        await door.stub.Echo(ask())
        seen = door.echo.servicer.calls[0]
        assert (seen.caller.request_id, seen.token, seen.caller.traceparent[:36]) == ("r1", ADA, TRACE[:36])
        assert seen.remaining() < 0.51  # on the wire a timeout is rounded up
        current.set(served._replace(deadline=time.monotonic() - 1))
        with pytest.raises(DeadlineExceeded):
            await door.stub.Echo(ask())


async def test_the_cause_of_a_workers_call_is_passed_on(folder: Path) -> None:
    """A stub that a worker uses passes on what it works for: an event's id, its trace and the time for it."""
    async with serve(Echo(), folder) as door:
        working.set(Work(time.monotonic() + 0.5, "event_1", TRACE))
        await door.stub.Echo(ask())
        seen = door.echo.servicer.calls[0]
        assert (seen.caller.request_id, seen.caller.traceparent[:36], seen.token) == ("event_1", TRACE[:36], "")
        assert seen.remaining() < 0.51  # on the wire a timeout is rounded up


async def test_a_token_stays_where_it_is_not_asked_for(door: Door) -> None:
    """A method without end user gets no token; a call from a worker begins a trace."""
    current.set(Call(ECHO, Peer("gateway"), time.monotonic() + 1, "r1", token=ADA))
    await door.stub.Echo(ask())
    current.set(None)
    await door.stub.Echo(ask())
    first, second = door.echo.servicer.calls
    assert "authorization" not in first.metadata
    assert second.caller.request_id
    assert second.metadata["traceparent"]


async def test_nobody_there_is_unavailable(folder: Path) -> None:
    """A sidecar that is away is UNAVAILABLE, within the deadline."""
    async with grpc.aio.insecure_channel(f"unix:{folder / 'nobody.sock'}") as channel:
        with pytest.raises(Unavailable):
            await Channel(channel, Echo().contract).stub(EchoStub).Echo(ask())


async def test_health_is_told(door: Door) -> None:
    """NOT_SERVING before the boxes have answered, then SERVING; liveness always; other names are unknown."""
    with pytest.raises(Unavailable):
        await health.check(door.socket)
    await door.health.look()
    await health.check(door.socket)
    stub: Any = HealthStub(door.channel)
    assert (await stub.Check(pb.HealthCheckRequest(service=health.LIVE))).status == 1
    with pytest.raises(grpc.aio.AioRpcError):
        await stub.Check(pb.HealthCheckRequest(service="other"))
    watching = stub.Watch(pb.HealthCheckRequest())
    assert (await watching.read()).status == 1
    await door.health.stop()
    assert (await watching.read()).status == 2
    watching.cancel()


async def test_watchers_are_bounded(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    """One watcher too many is refused; when one goes there is room again."""
    monkeypatch.setattr(limits, "WATCHERS", 1)
    stub: Any = HealthStub(door.channel)
    first = stub.Watch(pb.HealthCheckRequest())
    assert (await first.read()).status == 2
    second = stub.Watch(pb.HealthCheckRequest())
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await second.read()
    assert refused.value.code() == grpc.StatusCode.UNAVAILABLE
    first.cancel()
    await asyncio.sleep(0.05)
    third = stub.Watch(pb.HealthCheckRequest())
    assert (await third.read()).status == 2
    third.cancel()


async def test_reflection_is_for_the_mesh(door: Door) -> None:
    """Who comes through the sidecar may ask what is served; nobody else."""
    stub: Any = ServerReflectionStub(door.channel)
    question = reflected.ServerReflectionRequest(list_services="")
    call = stub.ServerReflectionInfo(iter([question]), metadata=PROOF)
    listed = [one.name for one in (await call.read()).list_services_response.service]
    assert SERVICE in listed
    # Nothing is written: a write that comes after the refusal would be this client's own INTERNAL.
    assert await stub.ServerReflectionInfo().code() == grpc.StatusCode.UNAUTHENTICATED


async def test_other_workloads_are_denied(door: Door) -> None:
    """The workload that the sidecar names is the one that the contract is asked about."""
    proof = (PROOF[0], (XFCC, f"By={spiffe_id('users')};URI={spiffe_id('operator')}"))
    with pytest.raises(Denied):
        await Channel(Proving(door.channel, proof), door.echo.contract).stub(EchoStub).Echo(ask())  # type: ignore[arg-type]


async def test_refusals_of_tokens_are_typed(folder: Path) -> None:
    """A missing token is UNAUTHENTICATED at the other end."""
    async with serve(Echo(policy={"end_user": contract.REQUIRED}), folder) as door:
        with pytest.raises(Unauthenticated):
            await door.stub.Echo(ask())
