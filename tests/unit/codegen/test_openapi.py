"""The OpenAPI document: what can be sent, what is answered, how it fails."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from codegen import openapi
from codegen.openapi import errors
from gateway import fields
from tests.unit.codegen.shop import GOOD, broken, shop

Json = dict[str, Any]
BUY = "/v1/shops/{shop_id}/orders"
GET = "/v1/orders/{order_id}"


@pytest.fixture
def document(tmp_path: Path) -> Json:
    return openapi.document(shop(tmp_path))


def accepts(document: Json, schema: Json, value: object) -> bool:
    """Whether a schema of the document lets a value through."""
    whole = {**schema, "components": document["components"]}
    return jsonschema_rs.Draft202012Validator(whole).is_valid(value)


def body(document: Json) -> Json:
    """The schema of what Buy takes."""
    schema: Json = document["paths"][BUY]["post"]["requestBody"]["content"]["application/json"]["schema"]
    return schema


ITEM = {"kind": "KIND_TEA", "grams": "250", "count": 2}
GOOD_BODY = {"items": [ITEM], "email": "ana@example.com", "card": "4242"}


@pytest.mark.parametrize(
    ("change", "fits"),
    [
        ({}, True),
        ({"email": ""}, True),
        ({"email": "ana"}, False),
        ({"email": "a" * 250 + "@example.com"}, False),
        ({"shopId": "north"}, False),
        ({"surprise": 1}, False),
        ({"invoice": True}, False),
        ({"items": []}, False),
        ({"items": [ITEM] * 11}, False),
        ({"items": [{**ITEM, "kind": "KIND_UNSPECIFIED"}]}, False),
        ({"items": [{**ITEM, "grams": 250}]}, False),
        ({"items": [{**ITEM, "count": 100}]}, False),
        ({"items": [{**ITEM, "surprise": 1}]}, False),
    ],
)
def test_a_body_is_what_validation_lets_through(document: Json, change: Json, fits: bool) -> None:
    """protovalidate's rules and the gateway's strictness hold in the schema, at any depth."""
    assert accepts(document, body(document), GOOD_BODY | change) is fits


def test_one_of_a_required_choice_is_needed(document: Json) -> None:
    """A required oneof needs exactly one of its fields."""
    without = {key: value for key, value in GOOD_BODY.items() if key != "card"}
    assert not accepts(document, body(document), without)
    assert accepts(document, body(document), without | {"invoice": True})


def test_fields_travel_once(document: Json) -> None:
    """Path, query and body share out the request's fields."""
    buy, get = document["paths"][BUY]["post"], document["paths"][GET]["get"]
    assert [(p["name"], p["in"], p["required"]) for p in buy["parameters"]] == [("shop_id", "path", True)]
    assert [(p["name"], p["in"]) for p in get["parameters"]] == [("order_id", "path"), ("detailLevel", "query")]
    assert "requestBody" not in get


def test_each_failure_has_its_status_and_reason(document: Json) -> None:
    """A method documents the platform's refusals that can meet it, and its own by reason."""
    buy, get = document["paths"][BUY]["post"]["responses"], document["paths"][GET]["get"]["responses"]
    assert set(buy) == {"200", "400", "401", "403", "404", "409", "413", "415", "429", "500", "503", "504"}
    assert set(get) == {"200", "400", "401", "403", "404", "429", "500", "503", "504"}
    example = buy["400"]["content"]["application/json"]["examples"]["SOLD_OUT"]["value"]
    assert example["message"] == "There is none left."
    assert example["details"][0] == {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": "SOLD_OUT",
        "domain": "shop.tulle",
        "metadata": {},
    }


def test_who_may_call_is_said(document: Json) -> None:
    """The security of an operation is its contract's end user."""
    buy, get = document["paths"][BUY]["post"], document["paths"][GET]["get"]
    assert (buy["security"], get["security"]) == ([{"bearer": []}], [{}, {"bearer": []}])
    assert "`administrator`" in buy["description"]
    assert "At most 60 calls in 60 s" in buy["description"]
    assert "No API key may." in buy["description"]


def test_what_a_key_needs_is_said(tmp_path: Path) -> None:
    """The scope of an operation stands in its words, and by itself for programs."""
    user = "      end_user: END_USER_OPTIONAL\n"
    scoped = openapi.document(shop(tmp_path, broken(GOOD, [(user, f'{user}      scope: "shop.read"\n')])))
    get, buy = scoped["paths"][GET]["get"], scoped["paths"][BUY]["post"]
    assert "An API key needs the scope `shop.read`." in get["description"]
    assert (get["x-api-key-scope"], "x-api-key-scope" in buy) == ("shop.read", False)


def test_all_examples_fit_their_schemas(document: Json) -> None:
    """What the document shows, the document accepts."""
    shown = [
        (content["schema"], content.get("example", None))
        for path in document["paths"].values()
        for operation in path.values()
        for content in contents(operation)
    ]
    assert all(accepts(document, schema, example) for schema, example in shown if example is not None)


def contents(operation: Json) -> list[Json]:
    """The bodies of an operation, sent and answered."""
    found = [operation["requestBody"]] if "requestBody" in operation else []
    found += [answer for answer in operation["responses"].values() if "content" in answer]
    return [part["content"]["application/json"] for part in found]


def test_errors_look_like_their_schema(document: Json) -> None:
    """Each documented refusal is a google.rpc.Status."""
    for answer in document["components"]["responses"].values():
        content = answer["content"]["application/json"]
        assert all(accepts(document, content["schema"], shown["value"]) for shown in content["examples"].values())


def test_the_strict_edge_is_documented() -> None:
    """Each reason with which the first filter refuses is in the document."""
    script = "".join(file.read_text() for file in fields.SCRIPTS)
    reasons = set(re.findall(r'refuse\("(\w+)"|reason = "(\w+)"', script))
    said = {*errors.STRICT, *errors.STRICT_BODY, *errors.STRICT_NO_BODY, *errors.STRICT_NO_OPERATION}
    assert {one or other for one, other in reasons} == said


def test_what_is_only_answered_may_grow(document: Json) -> None:
    """Requests are closed; answers are open, so that a new field breaks nobody."""
    schemas = document["components"]["schemas"]
    assert schemas["shop.v1.Item"]["additionalProperties"] is False
    assert "additionalProperties" not in schemas["shop.v1.Order"]


def test_numbers_of_64_bits_are_strings(document: Json) -> None:
    """JSON readers lose digits of 64-bit numbers; protobuf writes them as strings."""
    assert document["components"]["schemas"]["shop.v1.Order"]["properties"]["price"]["type"] == "string"


def test_the_document_is_the_same_each_time(tmp_path: Path) -> None:
    """Two builds of one contract agree to the byte, in whatever order the rules were written."""
    once = openapi.render(shop(tmp_path / "a"))
    assert once == openapi.render(shop(tmp_path / "b"))
    assert json.loads(once)["openapi"] == "3.1.0"


def test_optional_knows_no_choice(tmp_path: Path) -> None:
    """`optional` makes a field's presence known; it is no oneof to the reader."""
    project = shop(tmp_path, broken(GOOD, [("  int32 detail_level", "  optional int32 detail_level")]))
    assert "allOf" not in json.dumps(openapi.document(project)["paths"][GET])
