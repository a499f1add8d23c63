"""What only the contract of these tests has, over REST: streams that fail midway, and numbers of 64 bits."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import grpc
import httpx
import pytest

from mesh.messages import message_class
from tests.conformance.mesh import running
from tests.integration.envoy.rig import Rig

WATCH = "/tulle.library.v1.LibraryService/Watch"


@pytest.fixture(scope="module")
def mesh() -> Iterator[Rig]:
    with running() as made:
        yield made.rig


@pytest.fixture(scope="module")
def client(mesh: Rig) -> Iterator[httpx.Client]:
    with mesh.rest("127.0.6.1") as made:
        yield made


def messages(answer: httpx.Response) -> list[dict[str, Any]]:
    """The messages of a stream over REST."""
    assert answer.headers["content-type"] == "text/event-stream"
    events = [event for event in answer.text.split("\n\n") if event]
    assert all(event.startswith("data: ") for event in events), answer.text
    return [json.loads(event.removeprefix("data: ")) for event in events]


def test_a_stream_is_events(client: httpx.Client) -> None:
    """Each message is an event (WHATWG server-sent events), and a stream that ends well says no error."""
    told = messages(client.get("/v1/books:watch?messages=3"))
    assert [one["number"] for one in told] == ["1", "2", "3"]
    assert not any(one.get("error") for one in told)


@pytest.mark.parametrize(
    ("then", "code", "reason"), [("lost", 5, "BOOK_LOST"), ("broken", 13, "INTERNAL"), ("late", 4, "DEADLINE_EXCEEDED")]
)
def test_a_stream_that_fails_midway_says_so_last(client: httpx.Client, then: str, code: int, reason: str) -> None:
    """The last event has an error, a google.rpc.Status with its reason, after all that was sent before it."""
    *before, last = messages(client.get(f"/v1/books:watch?messages=2&then={then}", timeout=10))
    assert [one["number"] for one in before] == ["1", "2"]
    assert last["error"]["code"] == code
    assert last["error"]["details"][0]["reason"] == reason


@pytest.mark.parametrize(("then", "status", "reason"), [("lost", 404, "BOOK_LOST"), ("broken", 500, "INTERNAL")])
def test_a_stream_that_fails_at_once_is_no_stream(client: httpx.Client, then: str, status: int, reason: str) -> None:
    """Before the first message the HTTP status itself can say it, as for any other method."""
    answer = client.get(f"/v1/books:watch?then={then}")
    assert (answer.status_code, answer.json()["details"][0]["reason"]) == (status, reason)
    assert answer.headers["content-type"] == "application/json"


def test_a_service_that_dies_midway_breaks_the_answer(mesh: Rig, client: httpx.Client) -> None:
    """What nobody is left to say is a broken connection, never a whole answer."""
    with pytest.raises(httpx.RemoteProtocolError), client.stream("GET", "/v1/books:watch?messages=1&then=late") as got:
        for _ in got.iter_text():
            mesh.stop("conformance")
    mesh.start("conformance")


def test_over_grpc_the_same_stream_has_its_status(mesh: Rig) -> None:
    """The status ends it as ever; the message before says the same."""
    request: Any = message_class("tulle.library.v1.WatchRequest")(messages=1, then="lost")
    with mesh.edge() as channel:
        call: Any = channel.unary_stream(WATCH)(request.SerializeToString(), timeout=5)
        got: list[bytes] = []
        with pytest.raises(grpc.RpcError) as refused:
            for one in call:
                got.append(one)  # noqa: PERF402 (the loop ends in an error, and what came before it counts)
    assert refused.value.code() == grpc.StatusCode.NOT_FOUND
    heard: list[Any] = [message_class("tulle.library.v1.Watched").FromString(one) for one in got]
    assert [one.error.code for one in heard] == [0, 5]


BIG, LEAST, MOST = 2**53 + 1, -(2**63), 2**64 - 1


@pytest.mark.parametrize("spelled", [str, int], ids=["strings", "numbers"])
def test_numbers_of_64_bits_are_exact_both_ways(client: httpx.Client, spelled: type) -> None:
    """In requests as strings or numbers, in answers as strings: not a digit is lost beyond 2^53."""
    body = {
        "signed": spelled(LEAST),
        "unsigned": spelled(MOST),
        "many": [spelled(BIG), spelled(-BIG)],
        "byName": {"big": spelled(BIG)},
        "absent": None,
    }
    answer = client.post("/v1/books:count", json=body)
    assert answer.json() == {
        "signed": str(LEAST),
        "unsigned": str(MOST),
        "many": [str(BIG), str(-BIG)],
        "byName": {"big": str(BIG)},
    }


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"signed": str(2**63)}, "signed"),
        ({"signed": -(2**63) - 1}, "signed"),
        ({"unsigned": -1}, "unsigned"),
        ({"unsigned": 2**64}, "unsigned"),
        ({"signed": 1.5}, "signed"),
        ({"many": ["1", "x"]}, "many[]"),
        ({"byName": {"big": None}}, "byName.big"),
    ],
)
def test_what_64_bits_do_not_hold_is_refused(client: httpx.Client, body: object, place: str) -> None:
    """Never rounded, wrapped or dropped: 400, by name."""
    answer = client.post("/v1/books:count", json=body)
    assert answer.status_code == 400
    assert answer.json()["details"][1]["fieldViolations"][0]["field"] == place


def test_null_is_a_field_that_is_not_there(client: httpx.Client) -> None:
    """It is neither zero nor a value for a field that knows whether it is there."""
    absent, null = (client.post("/v1/books:count", json=body).json() for body in ({}, {"absent": None, "many": None}))
    assert absent == null
    assert "absent" not in null
    assert client.post("/v1/books:count", json={"absent": 0}).json()["absent"] == "0"
