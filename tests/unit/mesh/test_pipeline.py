"""The pipeline as a whole."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh import contract, trace
from mesh.call import Incoming, Peer, current
from mesh.model import DeadlineExceeded, Denied, Invalid, Unauthenticated
from mesh.pipeline import Pipeline, begin
from tests.unit.mesh.echo import ADA, ECHO, Echo, ask

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_the_order_is_the_policy() -> None:
    """Around the handler: telemetry, errors, capacity, deadline, who, for whom, may they, is it valid, lasting, new."""
    echo = Echo()
    names = [step.__qualname__ for step in Pipeline(echo.app, echo.telemetry).steps]
    assert names == [
        "Telemetry.observed",
        "mapped",
        "Capacity.bounded",
        "Deadlines.bounded",
        "known",
        "caller",
        "EndUser.authenticated",
        "end_user",
        "decoded",
        "valid",
        "Streams.kept",
        "Once.answered",
    ]


def test_the_pipeline_knows_no_transport() -> None:
    """Pipeline, steps and the in-process transport work without grpc."""
    code = "import sys, mesh.pipeline, mesh.transports.inprocess; sys.exit('grpc' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


async def test_nothing_is_parsed_for_strangers() -> None:
    """Who may not call is refused before a byte of the request is looked at."""
    echo = Echo(policy={"end_user": contract.REQUIRED})
    with pytest.raises(Unauthenticated):
        await echo.stub().Echo(ask("x" * 100))
    with pytest.raises(Denied):
        await echo.stub(ADA, workload="operator").Echo(ask("x" * 100))
    with pytest.raises(Invalid):
        await echo.stub(ADA).Echo(ask("x" * 100))
    assert echo.servicer.calls == []


@pytest.mark.parametrize(("asked", "within"), [(None, 2.0), (0.5, 0.5), (60.0, 2.0)])
async def test_the_contract_caps_the_deadline(asked: float | None, within: float) -> None:
    """A shorter deadline of the client holds, a longer one and none are the contract's."""
    echo = Echo()
    await echo.stub().Echo(ask(), timeout=asked)
    assert echo.servicer.calls[0].deadline - time.monotonic() == pytest.approx(within, abs=0.2)


async def test_a_call_ends_by_its_deadline() -> None:
    """A handler that hangs is cancelled at the deadline, whatever the client waits."""
    echo = Echo(policy={"deadline": 0.05})
    with pytest.raises(DeadlineExceeded):
        await echo.stub().Echo(ask("slow"), timeout=30)
    assert echo.servicer.cancelled == 1


async def test_a_stream_ends_by_its_deadline() -> None:
    """A stream lives no longer than its contract says, even if nobody reads it."""
    echo = Echo(policy={"deadline": 0.05})
    with pytest.raises(DeadlineExceeded):
        async for _ in echo.stub().Repeat(ask()):
            await asyncio.sleep(0.1)


async def test_calls_are_current_while_they_run() -> None:
    """Stubs find the call that a task serves; afterwards there is none."""
    echo = Echo()
    await echo.stub().Echo(ask())
    assert echo.servicer.currents == echo.servicer.calls
    assert current.get() is None


async def test_request_id_and_trace_go_on() -> None:
    """The caller's request id is kept; its trace goes on with a span of our own."""
    echo = Echo()
    await echo.stub(x_request_id="abc-1", traceparent=TRACE).Echo(ask())
    caller = echo.servicer.calls[0].caller
    assert caller.request_id == "abc-1"
    assert trace.trace_id(caller.traceparent) == trace.trace_id(TRACE)
    assert trace.span_id(caller.traceparent) != trace.span_id(TRACE)


@given(st.text(max_size=200))
def test_request_ids_are_fit_for_logs(given: str) -> None:
    """What is no plain word becomes a new id."""
    made = begin(ECHO, Incoming(Peer("gateway"), {"x-request-id": given}), 0.0).caller.request_id
    assert made.isascii()
    assert made == given or len(made) == 32
    assert made.isprintable()


async def test_what_telemetry_is_told() -> None:
    """Each call is one line with its outcome, whoever it was and however it ended."""
    echo = Echo(policy={"end_user": contract.OPTIONAL})
    await echo.stub(ADA).Echo(ask())
    with pytest.raises(Unauthenticated):
        await echo.stub("forged").Echo(ask())
    running = asyncio.ensure_future(echo.stub().Echo(ask("slow")))
    await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    echo.telemetry.flush()
    lines = "\n".join(echo.lines).splitlines()
    assert ['"OK"' in lines[0], '"UNAUTHENTICATED"' in lines[1], '"CANCELLED"' in lines[2]] == [True] * 3
    assert ADA in lines[0]
