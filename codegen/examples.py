"""An example of each message, as its JSON: values are those that the comments name with "such as `…`"."""

from __future__ import annotations

import re
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from codegen.fields import behaviors, is_map, item_rules, values_of
from codegen.project import Project

_BY_TYPE: dict[str, Any] = {
    "google.api.HttpBody": {"contentType": "application/json", "data": "e30="},
    "google.protobuf.Timestamp": "2026-01-31T12:00:00Z",
    "google.protobuf.Duration": "1.500s",
}
_BY_FORMAT = {
    "email": "ana@example.com",
    "uuid": "3b241101-e2bb-4255-8caf-4136c566a962",
    "uri": "https://example.com/",
    "hostname": "example.com",
}
_SUCH_AS = re.compile(r"such as `([^`]+)`")
_64_BIT = (FieldDescriptor.CPPTYPE_INT64, FieldDescriptor.CPPTYPE_UINT64)
_NUMBERS = (*_64_BIT, FieldDescriptor.CPPTYPE_INT32, FieldDescriptor.CPPTYPE_UINT32)
_FRACTIONS = (FieldDescriptor.CPPTYPE_DOUBLE, FieldDescriptor.CPPTYPE_FLOAT)


def of_message(
    project: Project, message: Descriptor, *, request: bool = False, seen: frozenset[str] = frozenset()
) -> dict[str, Any]:
    """An example with every field, the first of each oneof, without what only answers have if `request`."""
    if message.full_name in seen:
        return {}
    seen |= {message.full_name}
    return {
        field.json_name: of_field(project, field, request=request, seen=seen)
        for field in message.fields
        if _is_first(field) and not (request and "OUTPUT_ONLY" in behaviors(project.contract, field))
    }


def of_field(
    project: Project, field: FieldDescriptor, *, request: bool = False, seen: frozenset[str] = frozenset()
) -> Any:
    """An example of a field's value."""
    if is_map(field):
        return {}
    one = _one(project, field, request, seen)
    return [one] if field.is_repeated else one


def _is_first(field: FieldDescriptor) -> bool:
    return field.containing_oneof is None or field.containing_oneof.fields[0] == field


def _one(project: Project, field: FieldDescriptor, request: bool, seen: frozenset[str]) -> Any:
    said = _SUCH_AS.search(project.source.comment(field.full_name))
    if field.message_type is not None:
        return _of_type(project, field, request, seen)
    if field.enum_type is not None:
        allowed = values_of(project.contract, field)
        return next((value.name for value in allowed if value.number), allowed[0].name)
    if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        return said[1] if said else _text(project, field)
    if field.cpp_type in _NUMBERS:
        number = said[1] if said else "1"
        return number if field.cpp_type in _64_BIT or not number.isdecimal() else int(number)
    return 0.5 if field.cpp_type in _FRACTIONS else True


def _of_type(project: Project, field: FieldDescriptor, request: bool, seen: frozenset[str]) -> Any:
    if field.message_type.full_name == "google.protobuf.FieldMask":
        return ",".join(mask_fields(project, field)[:2])
    if field.message_type.full_name in _BY_TYPE:
        return _BY_TYPE[field.message_type.full_name]
    return of_message(project, field.message_type, request=request, seen=seen)


def mask_fields(project: Project, mask: FieldDescriptor) -> list[str]:
    """The JSON names that a field mask may hold: what can be set in the resource beside it (AIP-161)."""
    types = (field.message_type for field in mask.containing_type.fields)
    resource = next((kind for kind in types if kind not in (None, mask.message_type)), None)
    settable = (f for f in resource.fields if f.name != "etag") if resource is not None else ()
    return [field.json_name for field in settable if "OUTPUT_ONLY" not in behaviors(project.contract, field)]


def _text(project: Project, field: FieldDescriptor) -> str:
    rules = item_rules(project.contract, field)
    known = rules.string.WhichOneof("well_known") if rules is not None else None
    return _BY_FORMAT.get(known or "") or str(field.name).replace("_", " ")
