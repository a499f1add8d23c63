"""The check of bodies with every shape that a contract may have: nested, repeated, maps, oneofs, free JSON."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from codegen import compile as protoc
from mesh import contract
from tests.integration.envoy.lone import lone, strict

PROTOS = Path(__file__).parents[3] / "protos"
SHAPES = """
syntax = "proto3";
package tulle.shapes.v1;
import "google/api/annotations.proto";
import "google/protobuf/any.proto";
import "google/protobuf/duration.proto";
import "google/protobuf/field_mask.proto";
import "google/protobuf/struct.proto";
import "google/protobuf/timestamp.proto";
import "google/protobuf/wrappers.proto";
import "tulle/policy/v1/policy.proto";
service ShapesService {
  rpc Make(Shape) returns (Shape) {
    option (google.api.http) = {post: "/v1/{parent=rooms/*}/shapes:make" body: "*"};
    option (tulle.policy.v1.method) = {end_user: END_USER_NONE callers: ["gateway"]
      rate_limit: {requests: 9 per: {seconds: 1}} deadline: {seconds: 1}};
  }
  rpc Find(Shape) returns (Shape) {
    option (google.api.http) = {get: "/v1/shapes/**"};
    option (tulle.policy.v1.method) = {end_user: END_USER_NONE callers: ["gateway"]
      rate_limit: {requests: 9 per: {seconds: 1}} deadline: {seconds: 1}};
  }
  rpc Look(Shape) returns (Shape) {
    option (google.api.http) = {get: "/v1/things/{parent}"};
    option (tulle.policy.v1.method) = {end_user: END_USER_NONE callers: ["gateway"]
      rate_limit: {requests: 9 per: {seconds: 1}} deadline: {seconds: 1}};
  }
  rpc Mend(Shape) returns (Shape) {
    option (google.api.http) = {post: "/v1/things/{parent}:mend" body: "*"};
    option (tulle.policy.v1.method) = {end_user: END_USER_NONE callers: ["gateway"]
      rate_limit: {requests: 9 per: {seconds: 1}} deadline: {seconds: 1}};
  }
  rpc Mine(Shape) returns (Shape) {
    option (google.api.http) = {delete: "/v1/things/mine"};
    option (tulle.policy.v1.method) = {end_user: END_USER_NONE callers: ["gateway"]
      rate_limit: {requests: 9 per: {seconds: 1}} deadline: {seconds: 1}};
  }
  rpc Hidden(Shape) returns (Shape) {
    option (google.api.http) = {get: "/v1/hidden"};
    option (tulle.policy.v1.method) = {end_user: END_USER_NONE callers: ["operator"] deadline: {seconds: 1}};
  }
}
message Shape {
  string parent = 1;
  Shape inner_shape = 2;
  repeated Shape many = 3;
  map<string, Shape> by_name = 4;
  map<string, int32> counts = 5;
  repeated string tags = 6;
  google.protobuf.Struct free = 7;
  google.protobuf.Any any = 8;
  google.protobuf.Timestamp at = 9;
  google.protobuf.FieldMask mask = 10;
  google.protobuf.StringValue wrapped = 11;
  google.protobuf.ListValue listed = 12;
  bytes raw = 13;
  oneof kind { int32 round = 14; Shape square = 15; }
  int64 far = 16;
  uint64 farther = 17;
  uint32 some = 18;
  bool sharp = 19;
  double size = 20;
  Colour colour = 21;
  google.protobuf.Duration lasting = 22;
  google.protobuf.Int64Value wide = 23;
}
enum Colour { COLOUR_UNSPECIFIED = 0; COLOUR_RED = 1; }
"""
MAKE = "/v1/rooms/1/shapes:make"


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> contract.Contract:
    folder = tmp_path_factory.mktemp("shapes")
    shutil.copytree(PROTOS / "tulle" / "policy", folder / "protos" / "tulle" / "policy")
    file = folder / "protos" / "tulle" / "shapes" / "v1" / "shapes.proto"
    file.parent.mkdir(parents=True)
    file.write_text(SHAPES)
    return contract.load(protoc.descriptor_set(folder / "protos", folder))


@pytest.fixture(scope="module")
def client(shapes: contract.Contract) -> Iterator[httpx.Client]:
    """An Envoy with nothing but the check; whatever passes is 204."""
    with lone([strict(shapes)]) as made:
        yield made


FINE = {
    "innerShape": {"inner_shape": {"tags": ["a", "b"], "raw": "AA=="}},
    "many": [{"round": 1}, {}, {"many": []}],
    "byName": {"any name": {"tags": []}, "": {}},
    "counts": {"a": 1, "b": -2.0e3},
    "far": "-9223372036854775808",
    "farther": 18446744073709551615,
    "some": "7",
    "sharp": False,
    "size": "NaN",
    "colour": "COLOUR_RED",
    "lasting": "-1.5s",
    "wide": 9007199254740993,
    "free": {"anything": [1, {"deep": [None, True, {"er": "x"}]}]},
    "any": {"@type": "type.googleapis.com/tulle.shapes.v1.Shape", "tags": []},
    "at": "2026-01-01T00:00:00Z",
    "mask": "a,b",
    "wrapped": "text",
    "listed": [1, [2, {"a": 3}]],
    "square": {},
}


def test_all_shapes_pass(client: httpx.Client) -> None:
    """A body that uses everything passes, in both spellings and however it is indented."""
    for indent in (None, 2):
        body = json.dumps(FINE, indent=indent)
        response = client.post(MAKE, content=body, headers={"content-type": "application/json"})
        assert response.status_code == 204, response.text


@pytest.mark.parametrize(
    ("body", "reason", "place"),
    [
        ({"parent": "x"}, "UNKNOWN_FIELD", "`parent`"),
        ({"innerShape": {"inner_shape": {"nope": 1}}}, "UNKNOWN_FIELD", "`innerShape.inner_shape.nope`"),
        ({"many": [{}, {"nope": 1}]}, "UNKNOWN_FIELD", "`many[].nope`"),
        ({"byName": {"x": {"nope": 1}}}, "UNKNOWN_FIELD", "`byName.x.nope`"),
        ({"square": {"nope": 1}}, "UNKNOWN_FIELD", "`square.nope`"),
        ({"round": 1, "square": {}}, "CONFLICTING_FIELDS", "`square`"),
        ({"many": {}}, "WRONG_TYPE", "`many`"),
        ({"many": ["x"]}, "WRONG_TYPE", "`many[]`"),
        ({"byName": []}, "WRONG_TYPE", "`byName`"),
        ({"counts": {"a": {}}}, "WRONG_TYPE", "`counts.a`"),
        ({"innerShape": "x"}, "WRONG_TYPE", "`innerShape`"),
        ({"innerShape": []}, "WRONG_TYPE", "`innerShape`"),
        ({"tags": "x"}, "WRONG_TYPE", "`tags`"),
        ({"tags": [[]]}, "WRONG_TYPE", "`tags[]`"),
        ({"mask": {"paths": []}}, "WRONG_TYPE", "`mask`"),
        ({"tags": [None]}, "WRONG_TYPE", "`tags[]`"),
        ({"tags": [1]}, "WRONG_TYPE", "`tags[]`"),
        ({"byName": {"x": None}}, "WRONG_TYPE", "`byName.x`"),
        ({"counts": {"a": 2**31}}, "WRONG_TYPE", "`counts.a`"),
        ({"counts": {"a": 1.5}}, "WRONG_TYPE", "`counts.a`"),
        ({"innerShape": {"far": "9223372036854775808"}}, "WRONG_TYPE", "`innerShape.far`"),
        ({"far": -(2**63) - 1}, "WRONG_TYPE", "`far`"),
        ({"far": "0x7f"}, "WRONG_TYPE", "`far`"),
        ({"far": True}, "WRONG_TYPE", "`far`"),
        ({"farther": 2**64}, "WRONG_TYPE", "`farther`"),
        ({"farther": "-1"}, "WRONG_TYPE", "`farther`"),
        ({"some": 2**32}, "WRONG_TYPE", "`some`"),
        ({"sharp": "true"}, "WRONG_TYPE", "`sharp`"),
        ({"sharp": 0}, "WRONG_TYPE", "`sharp`"),
        ({"size": "big"}, "WRONG_TYPE", "`size`"),
        ({"size": True}, "WRONG_TYPE", "`size`"),
        ({"colour": "red"}, "UNKNOWN_VALUE", "`colour`"),
        ({"colour": True}, "WRONG_TYPE", "`colour`"),
        ({"at": "2026-01-31"}, "WRONG_TYPE", "`at`"),
        ({"at": 5}, "WRONG_TYPE", "`at`"),
        ({"lasting": 1}, "WRONG_TYPE", "`lasting`"),
        ({"lasting": "1m"}, "WRONG_TYPE", "`lasting`"),
        ({"raw": "§"}, "WRONG_TYPE", "`raw`"),
        ({"raw": 5}, "WRONG_TYPE", "`raw`"),
        ({"wide": "x"}, "WRONG_TYPE", "`wide`"),
    ],
)
def test_what_is_wrong_is_named_with_its_path(
    client: httpx.Client, body: dict[str, object], reason: str, place: str
) -> None:
    """However deep it stands."""
    response = client.post(MAKE, json=body)
    info, bad = response.json()["details"]
    assert (response.status_code, info["reason"]) == (400, reason)
    assert place in response.json()["message"]
    assert [one["field"] for one in bad["fieldViolations"]] == [place.strip("`")]


@pytest.mark.parametrize(("opening", "closing"), [('{"innerShape":', "}"), ('{"free":', "}"), ('{"many":[', "]}")])
def test_depth_has_a_bound(client: httpx.Client, opening: str, closing: str) -> None:
    """A body nested a thousand times is refused, not followed."""
    content = opening * 1000 + "{}" + closing * 1000
    if opening == '{"free":':
        content = '{"free":' + '{"a":' * 1000 + "{}" + "}" * 1000 + "}"
    response = client.post(MAKE, content=content, headers={"content-type": "application/json"})
    assert (response.status_code, response.json()["details"][0]["reason"]) == (400, "TOO_DEEP")


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/rooms/1/shapes:make", 204),
        ("/v1/rooms/1/2/shapes:make", 404),
        ("/v1/rooms//shapes:make", 404),
        ("/v1/rooms/1/shapesXmake", 404),
        ("/v2/rooms/1/shapes:make", 404),
    ],
)
def test_templates_match_whole_segments(client: httpx.Client, path: str, status: int) -> None:
    """`*` is one segment, and what stands around it is literal."""
    assert client.post(path).status_code == status


def test_deep_templates_and_queries(client: httpx.Client) -> None:
    """`**` is any path; leaves of nested messages and repeated scalars may stand in the query."""
    assert client.get("/v1/shapes/a/b/c?tags=1&tags=2&innerShape.raw=AA&mask=a").status_code == 204
    assert client.get("/v1/shapes/a?many.raw=AA").status_code == 400
    assert client.get("/v1/shapes/a?raw=1&raw=2").status_code == 400
    assert client.get("/v1/hidden").status_code == 404


@pytest.mark.parametrize(
    ("verb", "path", "status", "allow"),
    [
        ("GET", "/v1/things/one", 204, ""),
        ("POST", "/v1/things/one:mend", 204, ""),
        ("DELETE", "/v1/things/mine", 204, ""),
        ("GET", "/v1/things/mine", 204, ""),
        ("POST", "/v1/things/one", 405, "GET"),
        ("PUT", "/v1/things/mine", 405, "DELETE, GET"),
        ("GET", "/v1/things", 404, ""),
    ],
)
def test_the_most_specific_route_that_knows_the_verb_is_taken(
    client: httpx.Client, verb: str, path: str, status: int, allow: str
) -> None:
    """A custom verb and a literal path come before a variable; a verb that only the variable knows is found there."""
    answer = client.request(verb, path)
    assert (answer.status_code, answer.headers.get("allow", "")) == (status, allow)
