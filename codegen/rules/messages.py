"""Rules for what requests may hold: everything has a bound, and REQUIRED means it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import protovalidate
from google.protobuf import json_format, message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from codegen import examples
from codegen.fields import behaviors, item_rules, rules_of
from codegen.project import Project
from codegen.rules.finding import Finding

# Formats of protovalidate that bound the length by themselves.
_BOUNDED = ("const", "in", "len", "max_len", "max_bytes", "len_bytes", "uuid", "tuuid", "ulid", "ip", "ipv4", "ipv6")


_BAD_RULE = (protovalidate.CompilationError, protovalidate.EvaluationError)


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


def _inputs(project: Project) -> Iterator[FieldDescriptor]:
    """Fields that a client may send."""
    for message in request_messages(project):
        yield from (field for field in message.fields if "OUTPUT_ONLY" not in behaviors(project.contract, field))


def _found(project: Project, field: FieldDescriptor, what: str, fix: str) -> Finding:
    return Finding(project.source.where(field.full_name), f"{field.full_name} {what}", fix)


def texts_are_bounded(project: Project) -> Iterator[Finding]:
    for field in _inputs(project):
        if field.cpp_type == FieldDescriptor.CPPTYPE_STRING and not _is_bounded(_value_rules(project, field)):
            yield _found(project, field, "may be of any length", "add (buf.validate.field).string.max_len = 200")


def _value_rules(project: Project, field: FieldDescriptor) -> Any:
    """The rules of one string or bytes value, of the items for a list."""
    rules = item_rules(project.contract, field)
    return None if rules is None else rules.bytes if rules.WhichOneof("type") == "bytes" else rules.string


def _is_bounded(rules: Any) -> bool:
    if rules is None:
        return False
    names = {descriptor.name for descriptor, _ in rules.ListFields()}
    return bool(names & set(_BOUNDED)) or (bool(rules.pattern) and not re.search(r"[*+]|\{\d+,\}", rules.pattern))


def lists_are_bounded(project: Project) -> Iterator[Finding]:
    for field in _inputs(project):
        rules = rules_of(project.contract, field)
        if field.is_repeated and not (rules is not None and (rules.repeated.max_items or rules.map.max_pairs)):
            yield _found(project, field, "may hold any number", "add (buf.validate.field).repeated.max_items = 100")


def enums_are_defined(project: Project) -> Iterator[Finding]:
    for field in _inputs(project):
        if field.enum_type is None:
            continue
        rules = item_rules(project.contract, field)
        if rules is None or not rules.enum.defined_only:
            fix = "add (buf.validate.field).enum.defined_only = true"
            yield _found(project, field, "takes numbers that its enum does not define", fix)


def required_means_refused_when_empty(project: Project) -> Iterator[Finding]:
    """What the documents call required is what validation refuses to miss, and nothing else."""
    validator = protovalidate.Validator()
    for message in request_messages(project):
        try:
            refused = _refused_when_empty(validator, message)
        except _BAD_RULE as error:
            what = f"{message.full_name} has a rule that cannot be evaluated: {error}"
            yield Finding(project.source.where(message.full_name), what, "see buf/validate/validate.proto")
            continue
        for field in message.fields:
            required = "REQUIRED" in behaviors(project.contract, field)
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


def examples_fit(project: Project) -> Iterator[Finding]:
    """The example of each request, which readers copy, is one that validation lets through."""
    validator = protovalidate.Validator()
    for name in sorted({method.input for method in project.contract.methods}):
        message = project.contract.pool.FindMessageTypeByName(name)
        example = examples.of_message(project, message, request=True)
        for path, problem in _problems(validator, message, example):
            fix = "give an example in the field's comment: // …, such as `value`."
            where = project.source.where(f"{name}.{path.partition('.')[0]}" if path else name)
            yield Finding(where, f"{name}.{path} has an example that does not fit: {problem}", fix)


def _problems(validator: protovalidate.Validator, message: Descriptor, example: Any) -> Iterator[tuple[str, str]]:
    try:
        request: Any = json_format.ParseDict(example, message_factory.GetMessageClass(message)())
        violations = validator.collect_violations(request)
    except (json_format.ParseError, *_BAD_RULE) as error:
        yield "", str(error)
        return
    for violation in violations:
        path = violation.proto.field.elements if violation.proto.field else []
        yield ".".join(element.field_name for element in path), violation.proto.message


RULES = (texts_are_bounded, lists_are_bounded, enums_are_defined, required_means_refused_when_empty, examples_fit)
