"""The REST surface as an OpenAPI 3.1 document."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from google.protobuf.descriptor import Descriptor

from codegen.bindings import Binding, bindings
from codegen.openapi import errors, operations, schemas
from codegen.project import Project
from gateway import templates

Json = dict[str, Any]

_ABOUT = (
    "The REST door of the platform, made from the same contracts as the gRPC services behind it. Names are camelCase; "
    "64-bit numbers, times (RFC 3339) and field masks are strings; enums go by name. An unknown path, query parameter "
    "or body field is refused with its name. Every refusal is a `google.rpc.Status`."
)
_BEARER = {
    "type": "http",
    "scheme": "bearer",
    "bearerFormat": "JWT",
    "description": "An access token from LogIn, CompleteSecondFactor or Refresh, or from ExchangeApiKey for a program. "
    "It lives at most 5 minutes.",
}


def render(project: Project) -> str:
    """The document as JSON."""
    return json.dumps(document(project), indent=1, ensure_ascii=False) + "\n"


def document(project: Project) -> Json:
    """The document: one operation for each HTTP binding of each method."""
    bound = list(bindings(project.contract))
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Tulle",
            "version": "v1",
            "description": _ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "http://127.0.0.1:8080"}, {"url": "https://127.0.0.1:8443"}],
        "tags": _tags(project, bound),
        "paths": _paths(project, bound),
        "components": {
            "securitySchemes": {"bearer": _BEARER},
            "responses": errors.shared((binding.method, binding.rule) for binding in bound),
            "schemas": _schemas(project, bound),
        },
    }


def _tags(project: Project, bound: list[Binding]) -> list[Json]:
    services = sorted({binding.method.service for binding in bound})
    return [{"name": name.rpartition(".")[2], "description": project.source.comment(name)} for name in services]


def _paths(project: Project, bound: list[Binding]) -> Json:
    paths: Json = {}
    for binding in sorted(bound, key=lambda binding: binding.rule.path):
        number = binding.method.http.index(binding.rule)
        operation = operations.operation(project, binding, number)
        paths.setdefault(templates.openapi(binding.rule.path), {})[binding.rule.verb.lower()] = operation
    return paths


def _schemas(project: Project, bound: list[Binding]) -> Json:
    """What can be sent is closed, since the gateway refuses unknown fields; what is only answered may grow."""
    sent = {message.full_name: message for binding in bound for message in _sent(project, binding)}
    told = [binding for binding in bound if binding.method.output != schemas.HTTP_BODY]
    answered = {message.full_name: message for binding in told for message in _answered(project, binding)}
    everything = {**answered, **sent}
    made = {
        schemas.name_of(everything[name]): schemas.of_message(project, everything[name], closed=name in sent)
        for name in sorted(everything)
    }
    return made | errors.SCHEMAS


def _sent(project: Project, binding: Binding) -> Iterator[Descriptor]:
    request: Descriptor = project.contract.pool.FindMessageTypeByName(binding.method.input)
    if binding.rule.body == "*" and not binding.path:
        yield request
    if binding.rule.body:
        body = request.fields_by_name.get(binding.rule.body)
        yield from schemas.reachable(request if body is None else body.message_type)
        yield from [body.message_type] if body is not None else []


def _answered(project: Project, binding: Binding) -> Iterator[Descriptor]:
    answer: Descriptor = project.contract.pool.FindMessageTypeByName(binding.method.output)
    yield answer
    yield from schemas.reachable(answer)
