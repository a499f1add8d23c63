"""Rules for what requests may hold: everything has a bound, and REQUIRED means it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import protovalidate
from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from codegen.project import Project
from codegen.rules.finding import Finding
from mesh import contract

# Formats of protovalidate that bound the length by themselves.
_BOUNDED = ("const", "in", "len", "max_len", "max_bytes", "len_bytes", "uuid", "tuuid", "ulid", "ip", "ipv4", "ipv6")


def request_messages(project: Project) -> list[Descriptor]:
    """Our messages that can be in a request, in order of their names."""
    found: dict[str, Descriptor] = {}
    waiting = [project.contract.pool.FindMessageTypeByName(method.input) for method in project.contract.methods]
    while waiting:
        message = waiting.pop()
        if message.full_name.startswith("tulle.") and message.full_name not in found:
            found[message.full_name] = message
            waiting += [field.message_type for field in message.fields if field.message_type is not None]
    return [found[name] for name in sorted(found)]


def rules_of(project: Project, field: FieldDescriptor) -> Any:
    """The field's `buf.validate.field`, or None."""
    return contract.option(field, "FieldOptions", "buf.validate.field", project.contract.pool)


def behaviors(project: Project, field: FieldDescriptor) -> frozenset[str]:
    """Names of the field's `google.api.field_behavior`."""
    pool = project.contract.pool
    options: Any = message_factory.GetMessageClass(pool.FindMessageTypeByName("google.protobuf.FieldOptions"))
    values = options.FromString(field.GetOptions().SerializeToString()).Extensions[
        pool.FindExtensionByName("google.api.field_behavior")
    ]
    names = pool.FindEnumTypeByName("google.api.FieldBehavior").values_by_number
    return frozenset(names[value].name for value in values)


def _inputs(project: Project) -> Iterator[FieldDescriptor]:
    """Fields that a client may send."""
    for message in request_messages(project):
        yield from (field for field in message.fields if "OUTPUT_ONLY" not in behaviors(project, field))


def _found(project: Project, field: FieldDescriptor, what: str, fix: str) -> Finding:
    return Finding(project.source.where(field.full_name), f"{field.full_name} {what}", fix)


def texts_are_bounded(project: Project) -> Iterator[Finding]:
    for field in _inputs(project):
        if field.cpp_type == FieldDescriptor.CPPTYPE_STRING and not _is_bounded(_value_rules(project, field)):
            yield _found(project, field, "may be of any length", "add (buf.validate.field).string.max_len = 200")


def _value_rules(project: Project, field: FieldDescriptor) -> Any:
    """The rules of one string or bytes value, of the items for a list."""
    rules = rules_of(project, field)
    if rules is not None and field.is_repeated:
        rules = rules.repeated.items
    return None if rules is None else rules.bytes if rules.WhichOneof("type") == "bytes" else rules.string


def _is_bounded(rules: Any) -> bool:
    if rules is None:
        return False
    names = {descriptor.name for descriptor, _ in rules.ListFields()}
    return bool(names & set(_BOUNDED)) or (bool(rules.pattern) and not re.search(r"[*+]|\{\d+,\}", rules.pattern))


def lists_are_bounded(project: Project) -> Iterator[Finding]:
    for field in _inputs(project):
        rules = rules_of(project, field)
        if field.is_repeated and not (rules is not None and (rules.repeated.max_items or rules.map.max_pairs)):
            yield _found(project, field, "may hold any number", "add (buf.validate.field).repeated.max_items = 100")


def enums_are_defined(project: Project) -> Iterator[Finding]:
    for field in _inputs(project):
        if field.enum_type is None:
            continue
        rules = rules_of(project, field)
        rules = rules.repeated.items if rules is not None and field.is_repeated else rules
        if rules is None or not rules.enum.defined_only:
            fix = "add (buf.validate.field).enum.defined_only = true"
            yield _found(project, field, "takes numbers that its enum does not define", fix)


def required_means_refused_when_empty(project: Project) -> Iterator[Finding]:
    """What the documents call required is what validation refuses to miss, and nothing else."""
    validator = protovalidate.Validator()
    for message in request_messages(project):
        try:
            refused = _refused_when_empty(validator, message)
        except protovalidate.CompilationError as error:
            what = f"{message.full_name} has a rule that cannot be compiled: {error}"
            yield Finding(project.source.where(message.full_name), what, "see buf/validate/validate.proto")
            continue
        for field in message.fields:
            required = "REQUIRED" in behaviors(project, field)
            if required and field.name not in refused:
                fix = "add a rule that refuses the empty value, such as (buf.validate.field).required = true"
                yield _found(project, field, "is REQUIRED, but no rule refuses it empty", fix)
            if field.name in refused and not required:
                fix = (
                    "add (google.api.field_behavior) = REQUIRED, or (buf.validate.field).ignore = IGNORE_IF_ZERO_VALUE"
                )
                yield _found(project, field, "is refused when empty, but not marked REQUIRED", fix)


def _refused_when_empty(validator: protovalidate.Validator, message: Descriptor) -> set[str]:
    empty: Any = message_factory.GetMessageClass(message)()
    violations = validator.collect_violations(empty)
    return {violation.proto.field.elements[0].field_name for violation in violations if violation.proto.field}


RULES = (texts_are_bounded, lists_are_bounded, enums_are_defined, required_means_refused_when_empty)
