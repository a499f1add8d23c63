"""Streams through the whole mesh, by both doors: silence, slow readers, long answers, and a service that stops."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest

from mesh import hops, limits
from mesh.messages import message_class
from tests.conformance.mesh import Mesh, running

WATCH = "/tulle.library.v1.LibraryService/Watch"
PIECE = 32 * 1024
WATCHED = 4.0
"""Seconds that the contract gives to Watch."""


@pytest.fixture
def mesh(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mesh]:
    """A mesh in which silence is cut soon; a heartbeat may still be a second late on a busy machine."""
    monkeypatch.setattr(hops, "STREAM_IDLE", 1.5)
    monkeypatch.setattr(limits, "HEARTBEAT", 0.3)
    with running() as made:
        yield made


def read(mesh: Mesh, query: str) -> tuple[list[dict[str, Any]], float]:
    """The messages of a stream over REST, and how long it took."""
    started = time.monotonic()
    with mesh.rig.rest("127.0.6.2") as client:
        answer = client.get(f"/v1/books:watch?{query}", timeout=10)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/event-stream"), answer.text
    told = [json.loads(event.removeprefix("data: ")) for event in answer.text.split("\n\n") if event]
    return told, time.monotonic() - started


def until(condition: Callable[[], bool], within: float) -> None:
    ends = time.monotonic() + within
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.02)


def settled(mesh: Mesh) -> int:
    """How many messages have been sent when no more are."""
    before = -1
    while before != mesh.library.sent:
        before = mesh.library.sent
        time.sleep(0.3)
    return before


def test_silence_does_not_cut_a_stream(mesh: Mesh) -> None:
    """Heartbeats keep a stream that has nothing to say alive until its longest life, and the last event says so."""
    told, seconds = read(mesh, "messages=1&then=late")
    *beats, last = told[1:]
    assert seconds > WATCHED - 0.1
    assert len(beats) > 5
    assert all(beat == {"number": "0", "padding": ""} for beat in beats)
    assert last["error"]["details"][0]["reason"] == "DEADLINE_EXCEEDED"


def test_a_stream_may_be_longer_than_an_answer(mesh: Mesh) -> None:
    """MAX_RESPONSE bounds what is held at once, which for a stream is one message."""
    pieces = hops.MAX_RESPONSE // PIECE + 40
    told, _ = read(mesh, f"messages={pieces}&size={PIECE}")
    assert [one["number"] for one in told if one["padding"]] == [str(n) for n in range(1, pieces + 1)]


def test_over_rest_a_reader_that_stops_holds_little(mesh: Mesh) -> None:
    """The service waits for its reader: what is held on the way is bounded, and let go after STREAM_IDLE."""
    started = time.monotonic()
    with socket.socket() as reader:
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        reader.connect(("127.0.0.1", mesh.rig.addresses.http_port))
        reader.sendall(f"GET /v1/books:watch?messages=1000&size={PIECE} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
        until(lambda: mesh.library.sent > 0, within=2)
        assert settled(mesh) * PIECE < 4 * 2**20
        until(lambda: mesh.library.open == 0, within=5)
        assert time.monotonic() - started < WATCHED


def test_over_grpc_a_reader_that_stops_holds_little(mesh: Mesh) -> None:
    """The same by the other door; the client's library would hold some MiB of its own if it were let."""
    request: Any = message_class("tulle.library.v1.WatchRequest")(messages=1000, size=PIECE)
    options = (("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 2 * PIECE))
    with grpc.insecure_channel(f"127.0.0.1:{mesh.rig.addresses.http_port}", options) as channel:
        call: Any = channel.unary_stream(WATCH)(request.SerializeToString(), timeout=10)
        next(call)
        assert settled(mesh) * PIECE < 4 * 2**20
        until(lambda: mesh.library.open == 0, within=5)
        call.cancel()


def test_a_reader_that_leaves_ends_its_stream(mesh: Mesh) -> None:
    """The service hears of it through all hops."""
    with mesh.rig.rest("127.0.6.2") as client, client.stream("GET", "/v1/books:watch?messages=1&then=late") as got:
        assert (got.status_code, json.loads(next(got.iter_lines()).removeprefix("data: "))["number"]) == (200, "1")
    until(lambda: mesh.library.open == 0, within=WATCHED / 2)


def test_a_service_that_stops_ends_its_streams_well(mesh: Mesh) -> None:
    """Readers hear at once to open the stream again: over REST in its last event, over gRPC in its status."""
    request: Any = message_class("tulle.library.v1.WatchRequest")(messages=1, then="late")
    with mesh.rig.edge() as channel, mesh.rig.rest("127.0.6.2") as client:
        call: Any = channel.unary_stream(WATCH)(request.SerializeToString(), timeout=10)
        next(call)
        with client.stream("GET", "/v1/books:watch?messages=1&then=late") as got:
            lines = (line for line in got.iter_lines() if line)
            next(lines)
            mesh.stop()
            last = [json.loads(line.removeprefix("data: ")) for line in lines][-1]
        with pytest.raises(grpc.RpcError) as refused:
            list(call)
    assert refused.value.code() == grpc.StatusCode.UNAVAILABLE
    assert (last["error"]["code"], last["error"]["details"][0]["reason"]) == (14, "UNAVAILABLE")
    assert last["error"]["details"][1]["retryDelay"] == f"{limits.OVERLOAD_PAUSE:g}s"


def test_an_address_has_some_streams(mesh: Mesh) -> None:
    """One stream too many is 429 with a time to come again, and calls are still answered."""
    with mesh.rig.rest("127.0.6.3") as client:
        request = client.build_request("GET", "/v1/books:watch?messages=1&then=late")
        opened = [client.send(request, stream=True) for _ in range(limits.STREAMS_EACH)]
        refused = client.get("/v1/books:watch?messages=1")
        assert (refused.status_code, refused.json()["details"][0]["reason"]) == (429, "EXHAUSTED")
        assert client.post("/v1/books:count", json={}).status_code == 200
        for one in opened:
            one.close()
