"""The contract as tables for strict.lua: which fields the body of each route may hold, and which its query."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypeAlias

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

from gateway.routes import offered
from gateway.templates import pattern, specificity, variables
from mesh import hops
from mesh.contract import Contract, HttpRule, Method

SCRIPTS = tuple(Path(__file__).with_name(name) for name in ("values.lua", "body.lua", "strict.lua"))

_BY_TYPE = {
    FieldDescriptor.TYPE_DOUBLE: "number",
    FieldDescriptor.TYPE_FLOAT: "number",
    FieldDescriptor.TYPE_INT64: "int64",
    FieldDescriptor.TYPE_SINT64: "int64",
    FieldDescriptor.TYPE_SFIXED64: "int64",
    FieldDescriptor.TYPE_UINT64: "uint64",
    FieldDescriptor.TYPE_FIXED64: "uint64",
    FieldDescriptor.TYPE_INT32: "int32",
    FieldDescriptor.TYPE_SINT32: "int32",
    FieldDescriptor.TYPE_SFIXED32: "int32",
    FieldDescriptor.TYPE_UINT32: "uint32",
    FieldDescriptor.TYPE_FIXED32: "uint32",
    FieldDescriptor.TYPE_BOOL: "bool",
    FieldDescriptor.TYPE_STRING: "string",
    FieldDescriptor.TYPE_BYTES: "bytes",
}
# Messages whose JSON is a plain value (protobuf's JSON mapping), and those whose JSON is free.
SCALARS = {
    "google.protobuf.Timestamp": "time",
    "google.protobuf.Duration": "duration",
    "google.protobuf.FieldMask": "string",
    "google.protobuf.DoubleValue": "number",
    "google.protobuf.FloatValue": "number",
    "google.protobuf.Int64Value": "int64",
    "google.protobuf.UInt64Value": "uint64",
    "google.protobuf.Int32Value": "int32",
    "google.protobuf.UInt32Value": "uint32",
    "google.protobuf.BoolValue": "bool",
    "google.protobuf.StringValue": "string",
    "google.protobuf.BytesValue": "bytes",
}
RAW = "google.api.HttpBody"
"""A body that goes to the method byte for byte."""
FREE = frozenset(f"google.protobuf.{name}" for name in ("Any", "Struct", "Value", "ListValue"))

Verbs: TypeAlias = Mapping[str, tuple[Method, HttpRule]]

Chain: TypeAlias = tuple[FieldDescriptor, ...]


def script(contract: Contract) -> str:
    """The whole script: the contract's tables, then the check."""
    return "\n".join((tables(contract), *(script.read_text() for script in SCRIPTS)))


def tables(contract: Contract) -> str:
    """TYPES: the fields of each message. ENUMS: their names. ROUTES, PATTERNS: what paths take. HEADERS. MAX_DEPTH."""
    routes = _routes(contract)
    patterns = {path: verbs for path, verbs in routes.items() if "{" in path or "*" in path}
    exact = {path: verbs for path, verbs in routes.items() if path not in patterns}
    return "\n".join(
        (
            "local TYPES = {",
            *(f"  [{_quoted(name)}] = {_fields(fields)}," for name, fields in _types(contract).items()),
            "}",
            "local ENUMS = {",
            *(f"  [{_quoted(name)}] = {_names(enum)}," for name, enum in _enums(contract).items()),
            "}",
            "local ROUTES = {",
            *(f"  [{_quoted(path)}] = {_verbs(verbs, contract)}," for path, verbs in exact.items()),
            "}",
            "local PATTERNS = {",
            *(f"  {{{_quoted(pattern(path))}, {_verbs(verbs, contract)}}}," for path, verbs in patterns.items()),
            "}",
            f"local HEADERS = {{{', '.join(map(_quoted, _headers(contract)))}}}",
            f"local MAX_DEPTH = {hops.MAX_DEPTH}",
        )
    )


def _routes(contract: Contract) -> Mapping[str, Verbs]:
    found: dict[str, dict[str, tuple[Method, HttpRule]]] = {}
    for method in offered(contract):
        for rule in method.http:
            found.setdefault(rule.path, {})[rule.verb] = (method, rule)
    return dict(sorted(found.items(), key=lambda item: specificity(item[0])))


def _types(contract: Contract) -> Mapping[str, list[FieldDescriptor]]:
    """The messages that bodies are made of; a body of `*` lacks the fields that its path binds."""
    found: dict[str, list[FieldDescriptor]] = {}
    for method, rule in _bindings(contract):
        message = contract.pool.FindMessageTypeByName(method.input)
        if rule.body == "*":
            free = [field for field in message.fields if field.name not in variables(rule.path)]
            found[_whole(message, rule)] = free
            _collect(free, found)
        elif rule.body and not is_raw(message, rule):
            _collect([message.fields_by_name[rule.body]], found)
    return dict(sorted(found.items()))


def _bindings(contract: Contract) -> Iterator[tuple[Method, HttpRule]]:
    return ((method, rule) for method in offered(contract) for rule in method.http)


def _whole(message: Descriptor, rule: HttpRule) -> str:
    return " -".join((message.full_name, *sorted(variables(rule.path))))


def _enums(contract: Contract) -> Mapping[str, EnumDescriptor]:
    """The enums of all requests, wherever in them: in bodies and in queries."""
    messages: dict[str, list[FieldDescriptor]] = {}
    for method, _ in _bindings(contract):
        fields = list(contract.pool.FindMessageTypeByName(method.input).fields)
        _collect(fields, messages)
        messages.setdefault(method.input, fields)
    held = (_values(field) if _is_map(field) else field for fields in messages.values() for field in fields)
    found = {field.enum_type.full_name: field.enum_type for field in held if field.enum_type is not None}
    return dict(sorted(found.items()))


def _names(enum: EnumDescriptor) -> str:
    names = [value.name for value in enum.values]
    return f"{{{', '.join([*map(_quoted, names), *(f'{name} = true' for name in names)])}}}"


def _collect(fields: list[FieldDescriptor], found: dict[str, list[FieldDescriptor]]) -> None:
    for message in filter(None, (_message(field) for field in fields)):
        if message.full_name not in found:
            found[message.full_name] = list(message.fields)
            _collect(list(message.fields), found)


def _message(field: FieldDescriptor) -> Descriptor | None:
    """The message that a field, its elements or its values are, if they have fields of their own in JSON."""
    held = _values(field) if _is_map(field) else field
    message = held.message_type
    return None if message is None or message.full_name in SCALARS.keys() | FREE else message


def _is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def _values(field: FieldDescriptor) -> FieldDescriptor:
    value: FieldDescriptor = field.message_type.fields_by_name["value"]
    return value


def _verbs(verbs: Verbs, contract: Contract) -> str:
    rows = (f"{verb} = {_rule(method, rule, contract)}" for verb, (method, rule) in sorted(verbs.items()))
    return f"{{{', '.join(rows)}}}"


def _rule(method: Method, rule: HttpRule, contract: Contract) -> str:
    message = contract.pool.FindMessageTypeByName(method.input)
    parts = [f"query = {{{', '.join(_query(message, method, rule))}}}"]
    if rule.body == "*":
        parts.append(f"body = {_quoted(_whole(message, rule))}")
    elif is_raw(message, rule):
        parts.append("raw = true")
    elif rule.body:
        parts.append(f"body = {_quoted(_body(message, rule).full_name)}")
    return f"{{{', '.join(parts)}}}"


def is_raw(message: Descriptor, rule: HttpRule) -> bool:
    """Whether a request's body is not read at the gateway: what is signed must arrive as it was sent."""
    field = message.fields_by_name.get(rule.body)
    return field is not None and field.message_type is not None and field.message_type.full_name == RAW


def _headers(contract: Contract) -> list[str]:
    return sorted({name for method in offered(contract) for name in method.headers})


def _body(message: Descriptor, rule: HttpRule) -> Descriptor:
    """The message that is the whole body. A body of another kind has no names that could be unknown or said twice."""
    body = _message(message.fields_by_name[rule.body])
    assert body is not None, f"{message.full_name}.{rule.body} cannot be a body: it is no message"
    return body


def _fields(fields: list[FieldDescriptor]) -> str:
    return f"{{{', '.join(_shape(field, named=True) for field in fields)}}}"


def _shape(field: FieldDescriptor, *, named: bool = False) -> str:
    """What a field is to the check, as a table of Lua."""
    parts = [f"name = {_quoted(field.name)}, json = {_quoted(json_name(field))}"] if named else []
    if named and field.containing_oneof is not None and not _is_optional(field):
        parts.append(f"oneof = {_quoted('oneof ' + field.containing_oneof.name)}")
    if _is_map(field):
        parts.append(f"kind = 'map', of = {{{_kind(_values(field))}}}")
    elif field.is_repeated:
        parts.append(f"kind = 'list', of = {{{_kind(field)}}}")
    else:
        parts.append(_kind(field))
    return f"{{{', '.join(parts)}}}"


def json_name(field: FieldDescriptor) -> str:
    """The name of a field in JSON."""
    return str(field.json_name)  # type: ignore[attr-defined]  # types-protobuf has forgotten it


def _is_optional(field: FieldDescriptor) -> bool:
    """`optional` is a oneof of one field to protobuf."""
    return len(field.containing_oneof.fields) == 1


def _kind(field: FieldDescriptor) -> str:
    if field.message_type is not None and field.message_type.full_name in FREE:
        return "kind = 'any'"
    if field.enum_type is not None:
        return f"kind = 'enum', of = {_quoted(field.enum_type.full_name)}"
    if field.message_type is None:
        return f"kind = '{_BY_TYPE[field.type]}'"
    if field.message_type.full_name in SCALARS:
        return f"kind = '{SCALARS[field.message_type.full_name]}'"
    return f"kind = 'message', of = {_quoted(field.message_type.full_name)}"


def _query(message: Descriptor, method: Method, rule: HttpRule) -> Iterator[str]:
    """What may stand in the query: every leaf that neither the body nor a path of the method binds."""
    if rule.body == "*":
        return
    bound = frozenset({rule.body}).union(*(variables(binding.path) for binding in method.http))
    for path, field in _leaves(message, bound, (), frozenset()):
        names = {".".join(f.name for f in path), ".".join(map(json_name, path))}
        many = ", many = true" if field.is_repeated else ""
        for name in sorted(names):
            yield f"[{_quoted(name)}] = {{name = {_quoted('.'.join(f.name for f in path))}, {_kind(field)}{many}}}"


def _leaves(
    message: Descriptor, bound: frozenset[str], above: Chain, seen: frozenset[str]
) -> Iterator[tuple[Chain, FieldDescriptor]]:
    for field in message.fields:
        path = (*above, field)
        if ".".join(f.name for f in path) in bound or (field.message_type is not None and field.is_repeated):
            continue
        if field.message_type is None or field.message_type.full_name in SCALARS:
            yield path, field
        elif field.message_type.full_name not in seen | FREE:
            yield from _leaves(field.message_type, bound, path, seen | {message.full_name})


def _quoted(text: str) -> str:
    assert '"' not in text and "\\" not in text, text
    return f'"{text}"'
