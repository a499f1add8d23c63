"""Methods as operations: parameters, bodies, answers and who may call."""

from __future__ import annotations

import re
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from codegen import examples
from codegen.bindings import Binding
from codegen.fields import behaviors
from codegen.openapi import errors, schemas
from codegen.project import Project
from gateway.fields import is_raw
from mesh.contract import NONE, OPTIONAL, Method

Json = dict[str, Any]

_SECURITY: dict[str, list[Json]] = {NONE: [], OPTIONAL: [{}, {"bearer": []}]}


def operation(project: Project, binding: Binding, number: int) -> Json:
    """One binding of a method. `number`: which of the method's bindings, from 0."""
    method = binding.method
    comment = project.source.comment(f"{method.service}.{method.name}")
    service = method.service.rpartition(".")[2]
    result: Json = {
        "operationId": f"{service}_{method.name}" + (f"_{number + 1}" if number else ""),
        "tags": [service],
        "summary": re.split(r"[.:](?:\s|$)", comment)[0],
        "description": "\n\n".join([comment, who_and_how_often(method)]),
        "security": _SECURITY.get(method.end_user, [{"bearer": []}]),
        "x-grpc-method": method.path,
    }
    if method.scope:
        result["x-api-key-scope"] = method.scope
    if parameters := _parameters(project, binding):
        result["parameters"] = parameters
    if binding.rule.body:
        result["requestBody"] = _body(project, binding)
    refused = errors.responses(project, method, binding.rule)
    return result | {"responses": {"200": _answer(project, method), **refused}}


def who_and_how_often(method: Method) -> str:
    """The policy of a method in words for those who call from outside."""
    who = {NONE: "Anybody may call it.", OPTIONAL: "Anybody may call it, signed in or not."}
    text = [who.get(method.end_user, "Any signed-in user may call it.")]
    if method.roles:
        text = [f"Only for users with the role {' or '.join(f'`{role}`' for role in sorted(method.roles))}."]
    if method.end_user != NONE:
        key = f"An API key needs the scope `{method.scope}`." if method.scope else "No API key may."
        text.append(key)
    if method.fresh:
        text.append("Session and roles are checked anew at each call.")
    if method.rate_limit:
        whose = "address" if method.end_user == NONE else "user"
        text.append(f"At most {method.rate_limit.requests} calls in {method.rate_limit.per:g} s from one {whose}.")
    return " ".join([*text, f"Answers within {method.deadline:g} s."])


def _parameters(project: Project, binding: Binding) -> list[Json]:
    path = [_in_path(project, name, field) for name, field in binding.path if field is not None]
    query = [_in_query(project, name, field) for name, field in binding.query]
    return [*path, *query, *map(_in_header, sorted(binding.method.headers))]


def _in_path(project: Project, name: str, field: FieldDescriptor) -> Json:
    schema = schemas.of_value(project, field)
    if schema["type"] == "string" and "pattern" not in schema:
        schema["minLength"] = max(1, schema.get("minLength", 1))
    example = examples.of_field(project, field)
    description = project.source.comment(field.full_name)
    known = {"name": name, "in": "path", "required": True, "description": description}
    return {**known, "schema": schema, "example": example}


def _in_header(name: str) -> Json:
    description = "Read by the method itself."
    return {"name": name, "in": "header", "required": False, "description": description, "schema": {"type": "string"}}


def _in_query(project: Project, name: str, field: FieldDescriptor) -> Json:
    schema = schemas.of_field(project, field)
    description = schema.pop("description")
    required = "REQUIRED" in behaviors(project.contract, field)
    return {"name": _json_path(name), "in": "query", "required": required, "description": description, "schema": schema}


def _json_path(name: str) -> str:
    """`update_mask` as `updateMask`: protobuf's JSON name of each part."""
    parts = (part.split("_") for part in name.split("."))
    return ".".join(first + "".join(word.title() for word in rest) for first, *rest in parts)


def _request(project: Project, binding: Binding) -> Descriptor:
    request: Descriptor = project.contract.pool.FindMessageTypeByName(binding.method.input)
    return request


def _body(project: Project, binding: Binding) -> Json:
    """The body's schema: a field of the request, the request, or the request without what the path carries."""
    message, bound = _request(project, binding), frozenset(name for name, _ in binding.path)
    if is_raw(message, binding.rule):
        return {"required": True, "content": {"application/json": {"schema": {}}}}
    if binding.rule.body != "*":
        message, bound = message.fields_by_name[binding.rule.body].message_type, frozenset()
    schema = schemas.of_message(project, message, closed=True, without=bound) if bound else schemas.reference(message)
    example = examples.of_message(project, message, request=True)
    for name in bound:
        example.pop(message.fields_by_name[name].json_name, None)
    fields = [field for field in message.fields if field.name not in bound]
    required = binding.rule.body != "*" or any("REQUIRED" in behaviors(project.contract, field) for field in fields)
    return {"required": required, "content": {"application/json": {"schema": schema, "example": example}}}


def _answer(project: Project, method: Method) -> Json:
    message: Descriptor = project.contract.pool.FindMessageTypeByName(method.output)
    if method.output == schemas.HTTP_BODY:
        return {"description": "A file", "content": {"*/*": {"schema": {"type": "string", "format": "binary"}}}}
    content = {"schema": schemas.reference(message), "example": examples.of_message(project, message)}
    description = project.source.comment(message.full_name) or "OK"
    # Each message of a stream is an event (docs/rest.md).
    kind = "text/event-stream" if method.server_streaming else "application/json"
    return {"description": description, "content": {kind: content}}
