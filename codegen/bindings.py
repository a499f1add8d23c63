"""Where each field of a request travels over REST: in the path, the body or the query (google.api.http)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from gateway import templates
from gateway.fields import SCALARS
from gateway.templates import Template
from mesh.contract import Contract, HttpRule, Method


@dataclass(frozen=True, slots=True)
class Binding:
    """One way to reach a method over REST. Fields are by their dotted path in the request."""

    method: Method
    rule: HttpRule
    template: Template
    path: tuple[tuple[str, FieldDescriptor | None], ...]
    """Path variables; None for one that names no field."""
    query: tuple[tuple[str, FieldDescriptor], ...]
    """What neither path nor body carries, down to single values."""


def bindings(contract: Contract) -> Iterator[Binding]:
    """All bindings whose templates can be read."""
    for method in contract.methods:
        for rule in method.http:
            try:
                yield _binding(contract, method, rule, templates.parse(rule.path))
            except templates.BadTemplate:
                continue  # a rule says so, with its place


def _binding(contract: Contract, method: Method, rule: HttpRule, template: Template) -> Binding:
    request = contract.pool.FindMessageTypeByName(method.input)
    path = tuple((name, resolve(request, name)) for name in template.variables)
    bound = _in_paths(method) | {rule.body}
    query = () if rule.body == "*" else tuple(_leaves(request, "", bound, frozenset()))
    return Binding(method, rule, template, path, query)


def _in_paths(method: Method) -> frozenset[str]:
    """What any path of the method binds: none of its paths takes that in the query."""
    return frozenset(name for rule in method.http for name in templates.variables(rule.path))


def resolve(message: Descriptor, path: str) -> FieldDescriptor | None:
    """The field at a dotted path below `message`."""
    name, _, rest = path.partition(".")
    field: FieldDescriptor | None = message.fields_by_name.get(name)
    if not rest or field is None:
        return field
    return resolve(field.message_type, rest) if field.message_type else None


def is_message(field: FieldDescriptor) -> bool:
    """Whether JSON writes the field's value as an object."""
    return field.message_type is not None and field.message_type.full_name not in SCALARS


def _leaves(
    message: Descriptor, prefix: str, bound: frozenset[str], seen: frozenset[str]
) -> Iterator[tuple[str, FieldDescriptor]]:
    for field in message.fields:
        path = prefix + field.name
        if path in bound or message.full_name in seen:
            continue
        if is_message(field) and not field.is_repeated:
            yield from _leaves(field.message_type, f"{path}.", bound, seen | {message.full_name})
        else:
            yield path, field
