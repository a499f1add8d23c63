"""Messages as JSON Schema, in protobuf's JSON: camelCase names, 64-bit numbers as strings, enums by name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor, OneofDescriptor

from codegen import examples
from codegen.fields import behaviors, is_map, item_rules, rules_of, values_of
from codegen.openapi import rules as as_schema
from codegen.openapi.rules import Schema
from codegen.project import Project
from gateway.fields import RAW
from mesh import contract

_TYPES: dict[int, Schema] = {
    FieldDescriptor.CPPTYPE_BOOL: {"type": "boolean"},
    FieldDescriptor.CPPTYPE_INT32: {"type": "integer", "format": "int32", "minimum": -(2**31), "maximum": 2**31 - 1},
    FieldDescriptor.CPPTYPE_UINT32: {"type": "integer", "minimum": 0, "maximum": 2**32 - 1},
    FieldDescriptor.CPPTYPE_INT64: {"type": "string", "format": "int64", "pattern": "^-?[0-9]{1,19}$"},
    FieldDescriptor.CPPTYPE_UINT64: {"type": "string", "format": "uint64", "pattern": "^[0-9]{1,20}$"},
    FieldDescriptor.CPPTYPE_DOUBLE: {"type": "number", "format": "double"},
    FieldDescriptor.CPPTYPE_FLOAT: {"type": "number", "format": "float"},
}
_WELL_KNOWN: dict[str, Schema] = {
    RAW: {},
    "google.protobuf.Timestamp": {"type": "string", "format": "date-time"},
    "google.protobuf.Duration": {"type": "string", "pattern": r"^-?[0-9]{1,12}(\.[0-9]{1,9})?s$"},
    "google.protobuf.FieldMask": {"type": "string"},
    "google.protobuf.Empty": {"type": "object"},
    "google.protobuf.Struct": {"type": "object"},
    "google.protobuf.Value": {},
    "google.protobuf.StringValue": {"type": "string"},
    "google.protobuf.BytesValue": {"type": "string", "contentEncoding": "base64"},
    "google.protobuf.BoolValue": _TYPES[FieldDescriptor.CPPTYPE_BOOL],
    "google.protobuf.Int32Value": _TYPES[FieldDescriptor.CPPTYPE_INT32],
    "google.protobuf.UInt32Value": _TYPES[FieldDescriptor.CPPTYPE_UINT32],
    "google.protobuf.Int64Value": _TYPES[FieldDescriptor.CPPTYPE_INT64],
    "google.protobuf.UInt64Value": _TYPES[FieldDescriptor.CPPTYPE_UINT64],
    "google.protobuf.DoubleValue": _TYPES[FieldDescriptor.CPPTYPE_DOUBLE],
    "google.protobuf.FloatValue": _TYPES[FieldDescriptor.CPPTYPE_FLOAT],
}
HTTP_BODY = RAW
"""Its bytes are the answer's body over REST, whatever they are."""
_ZEROS: dict[str, Any] = {"string": "", "integer": 0, "number": 0, "array": []}


def name_of(message: Descriptor) -> str:
    """The name of a message among the document's components."""
    return str(message.full_name).removeprefix("tulle.")


def of_message(project: Project, message: Descriptor, *, closed: bool, without: frozenset[str] = frozenset()) -> Schema:
    """A message's schema. `closed`: unknown fields are refused, as the gateway does in requests."""
    fields = [field for field in message.fields if field.name not in without]
    schema: Schema = {"type": "object", "description": project.source.comment(message.full_name)}
    if fields:
        schema["properties"] = {field.json_name: of_field(project, field) for field in fields}
    required = [field.json_name for field in fields if "REQUIRED" in behaviors(project.contract, field)]
    if required:
        schema["required"] = required
    if closed:
        schema["additionalProperties"] = False
    choices = [_choice(project, oneof) for oneof in message.oneofs if not _is_optional(oneof)]
    return schema | ({"allOf": choices} if choices else {})


def _is_optional(oneof: OneofDescriptor) -> bool:
    """Whether a oneof only stands for the word `optional` before its one field."""
    return len(oneof.fields) == 1 and oneof.name == f"_{oneof.fields[0].name}"


def _choice(project: Project, oneof: OneofDescriptor) -> Schema:
    """Exactly one field of a oneof, or none unless it is required."""
    rule = contract.option(oneof, "OneofOptions", "buf.validate.oneof", project.contract.pool)
    one = [{"required": [field.json_name]} for field in oneof.fields]
    none = [] if rule is not None and rule.required else [{"not": {"anyOf": one}}]
    return {"oneOf": [*one, *none]}


def of_field(project: Project, field: FieldDescriptor) -> Schema:
    """A field's schema with its comment, its rules and an example."""
    schema = _list(project, field) if field.is_repeated else of_value(project, field)
    schema = _with_zero(project, field, schema)
    words = (project.source.comment(field.full_name), as_schema.in_words(rules_of(project.contract, field)))
    schema["description"] = " ".join(filter(None, words))
    if "OUTPUT_ONLY" in behaviors(project.contract, field):
        schema["readOnly"] = True
    if "$ref" not in schema and field.message_type is None:
        schema["examples"] = [examples.of_field(project, field)]
    return schema


def _with_zero(project: Project, field: FieldDescriptor, schema: Schema) -> Schema:
    """A rule that ignores the zero value lets it through whatever else the rule says."""
    rules = rules_of(project.contract, field)
    zero = _ZEROS.get(schema.get("type", ""))
    if rules is None or rules.ignore != _IGNORE_IF_ZERO or field.has_presence or zero is None:
        return schema
    return {"type": schema["type"], "anyOf": [{"const": zero}, {k: v for k, v in schema.items() if k != "type"}]}


_IGNORE_IF_ZERO = 1


def _list(project: Project, field: FieldDescriptor) -> Schema:
    rules = rules_of(project.contract, field)
    if is_map(field):
        value = field.message_type.fields_by_name["value"]
        schema: Schema = {"type": "object", "additionalProperties": of_value(project, value)}
        return schema | (as_schema.of_map(rules.map) if rules is not None else {})
    schema = {"type": "array", "items": of_value(project, field)}
    return schema | (as_schema.of_list(rules.repeated) if rules is not None else {})


def of_value(project: Project, field: FieldDescriptor) -> Schema:
    """The schema of one value of a field, without its comment."""
    rules = item_rules(project.contract, field)
    if field.message_type is not None:
        return _of_type(project, field)
    if field.enum_type is not None:
        # Inline, since two fields of one enum may allow different values.
        return {"type": "string", "enum": [value.name for value in values_of(project.contract, field)]}
    if field.type == FieldDescriptor.TYPE_BYTES:
        return {"type": "string", "contentEncoding": "base64"}
    if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        return {"type": "string"} | (as_schema.of_text(rules.string) if rules is not None else {})
    return _of_number(field, rules)


def _of_number(field: FieldDescriptor, rules: Any) -> Schema:
    schema = dict(_TYPES[field.cpp_type])
    kind = rules.WhichOneof("type") if rules is not None else None
    if not kind:
        return schema
    said = getattr(rules, kind)
    return schema | (as_schema.of_digits(said) if schema["type"] == "string" else as_schema.of_number(said))


def _of_type(project: Project, field: FieldDescriptor) -> Schema:
    name = field.message_type.full_name
    if name == "google.protobuf.FieldMask" and (known := examples.mask_fields(project, field)):
        one = "|".join(map(re.escape, known))
        return {"type": "string", "pattern": f"^(\\*|({one})(,({one}))*)?$"}
    if name in _WELL_KNOWN:
        return dict(_WELL_KNOWN[name])
    return reference(field.message_type)


def reference(message: Descriptor) -> Schema:
    """A pointer to a message's component."""
    return {"$ref": f"#/components/schemas/{name_of(message)}"}


def reachable(message: Descriptor, seen: set[str] | None = None) -> Iterator[Descriptor]:
    """The messages that need a component: those inside `message`, itself left out."""
    seen = set() if seen is None else seen
    for field in message.fields:
        inner = field.message_type
        if inner is None or inner.full_name in seen or inner.full_name in _WELL_KNOWN:
            continue
        seen.add(inner.full_name)
        if not is_map(field):
            yield inner
        yield from reachable(inner, seen)
