"""The document of this very contract, against what really judges requests: protobuf's JSON and protovalidate."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import hypothesis
import protovalidate
import pytest
import schemathesis
from google.protobuf import json_format, message_factory
from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR

from codegen.build import GEN, ROOT
from gateway.fields import RAW
from mesh import contract

DOCUMENT = json.loads((ROOT / GEN / "openapi.json").read_text())
SCHEMA: Any = schemathesis.openapi.from_dict(DOCUMENT)
OPERATIONS = {
    operation.label: operation
    for operation in (found.ok() for found in SCHEMA.get_all_operations())
    if "requestBody" in operation.definition.raw
}
VALIDATOR = protovalidate.Validator()


def test_the_document_is_openapi() -> None:
    """The document keeps to the meta-schema of OpenAPI 3.1."""
    assert [error.message for error in OPENAPI_31_VALIDATOR.iter_errors(DOCUMENT)] == []


def test_every_rest_route_is_documented() -> None:
    """Each HTTP binding of each method is an operation, and there are no others."""
    documented = {(verb.upper(), path) for path, verbs in DOCUMENT["paths"].items() for verb in verbs}
    assert documented == {(rule.verb, rule.path) for method in contract.contract().methods for rule in method.http}


@pytest.mark.parametrize("label", OPERATIONS)
def test_what_the_document_allows_is_let_through(label: str) -> None:
    """Any request that fits the document's schemas parses and breaks no rule."""
    operation = OPERATIONS[label]

    @hypothesis.settings(
        max_examples=30, deadline=None, database=None, suppress_health_check=list(hypothesis.HealthCheck)
    )
    @hypothesis.given(operation.as_strategy())
    def law(case: Any) -> None:
        assert list(violations(operation, case)) == []

    law()


def violations(operation: Any, case: Any) -> Iterator[str]:
    """What validation says of a generated request."""
    if not isinstance(case.body, dict):
        return
    method = contract.contract().method(operation.definition.raw["x-grpc-method"])
    rule = next(rule for rule in method.http if (rule.verb, rule.path) == (operation.method.upper(), operation.path))
    rest = {**(case.path_parameters or {}), **(case.query or {})}
    whole = {**rest, **(case.body if rule.body == "*" else {rule.body: case.body})}
    request = message_factory.GetMessageClass(contract.contract().pool.FindMessageTypeByName(method.input))()
    body = request.DESCRIPTOR.fields_by_name.get(rule.body)
    if body is not None and body.message_type is not None and body.message_type.full_name == RAW:
        return  # whatever it is, it is passed on as it is
    for violation in VALIDATOR.collect_violations(json_format.ParseDict(whole, request)):
        yield f"{violation.proto.message}: {whole}"
