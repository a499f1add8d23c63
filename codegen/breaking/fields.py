"""Breaks in what fields may hold (protovalidate, field_behavior) and how they are handled (tulle.policy.v1.field)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from codegen.breaking.breaks import Break, Change, callers
from mesh.contract import Contract, Method

_UPPER = ("max", "lte", "lt", "le")
_LOWER = ("min", "gte", "gt")
_RULES = {"field": "buf.validate.field", "message": "buf.validate.message", "oneof": "buf.validate.oneof"}


def requests(change: Change) -> Iterator[Break]:
    """What a request may hold: a tighter rule refuses what was accepted."""
    for name, methods in _reached(change.old, "input").items():
        for subject, old, new in _rules(change, name):
            for what in _tighter(old, new):
                whom = f"{callers({c for m in methods for c in m.callers})}, who send what was accepted"
                instead = "accept it as before; new rules belong to new fields"
                yield Break(subject, "validation", what, whom, instead, change.where(subject))


def answers(change: Change) -> Iterator[Break]:
    """What an answer may hold: a looser rule sends readers what they never saw."""
    for name, methods in _reached(change.old, "output").items():
        for subject, old, new in _rules(change, name):
            for what in _tighter(new, old):
                whom = f"{callers({c for m in methods for c in m.callers})}, who read it and rely on the rule"
                instead = "keep the rule, or answer more in a new field"
                yield Break(
                    subject, "validation-looser", f"not so any more: {what}", whom, instead, change.where(subject)
                )


def markings(change: Change) -> Iterator[Break]:
    """Personal data and secrets: a mark that goes lets a value into logs, URLs and stored answers."""
    for name in _messages(change.old):
        for field in _old(change, name).fields:
            new = _new(change, name)
            if new is None or field.name not in new.fields_by_name:
                continue
            before, after = _marks(change.old, field), _marks(change.new, new.fields_by_name[field.name])
            for gone in sorted(before - after):
                what = f"it is not marked `{gone}` any more, so that its value may be logged"
                whom = "the people whom the value concerns"
                yield Break(field.full_name, "marking", what, whom, "leave the mark", change.where(field.full_name))


ASPECTS = (requests, answers, markings)


def _reached(contract: Contract, side: str) -> Mapping[str, list[Method]]:
    """Each message in a request (`input`) or answer (`output`), with the methods that carry it."""
    found: dict[str, list[Method]] = {}
    for method in contract.methods:
        seen: set[str] = set()
        _collect(contract.pool.FindMessageTypeByName(getattr(method, side)), seen)
        for name in seen:
            found.setdefault(name, []).append(method)
    return dict(sorted(found.items()))


def _collect(message: Descriptor, seen: set[str]) -> None:
    if message.full_name in seen or not message.full_name.startswith("tulle."):
        return
    seen.add(message.full_name)
    for field in message.fields:
        if field.message_type is not None:
            _collect(field.message_type, seen)


def _messages(contract: Contract) -> list[str]:
    sides = [*_reached(contract, "input"), *_reached(contract, "output"), *contract.events]
    return sorted(set(sides))


def _old(change: Change, name: str) -> Descriptor:
    found: Descriptor = change.old.pool.FindMessageTypeByName(name)
    return found


def _new(change: Change, name: str) -> Descriptor | None:
    try:
        found: Descriptor = change.new.pool.FindMessageTypeByName(name)
    except KeyError:
        return None
    return found


def _rules(change: Change, name: str) -> Iterator[tuple[str, Mapping[str, Any], Mapping[str, Any]]]:
    """(full name, rules of then, rules of now) of a message, its oneofs and its fields that are in both."""
    old, new = _old(change, name), _new(change, name)
    if new is None:
        return
    yield name, _flat(change.old, old, "message"), _flat(change.new, new, "message")
    for oneof in old.oneofs:
        if oneof.name in new.oneofs_by_name:
            now = _flat(change.new, new.oneofs_by_name[oneof.name], "oneof")
            yield oneof.full_name, _flat(change.old, oneof, "oneof"), now
    for field in old.fields:
        if field.name in new.fields_by_name:
            now = _flat(change.new, new.fields_by_name[field.name], "field")
            yield field.full_name, _flat(change.old, field, "field"), now


def _options(contract: Contract, element: Any) -> Any:
    """An element's options, read with the contract's own pool."""
    kind = element.GetOptions().DESCRIPTOR.full_name
    options: Any = message_factory.GetMessageClass(contract.pool.FindMessageTypeByName(kind))
    return options.FromString(element.GetOptions().SerializeToString())


def _flat(contract: Contract, element: Any, kind: str) -> Mapping[str, Any]:
    """The rules of an element as `string.max_len: 20`, with `required` also where field_behavior says it."""
    options = _options(contract, element)
    flat = dict(_leaves(options.Extensions[contract.pool.FindExtensionByName(_RULES[kind])], ""))
    if kind == "field":
        behaviors = contract.pool.FindEnumTypeByName("google.api.FieldBehavior").values_by_name
        if behaviors["REQUIRED"].number in options.Extensions[_extension(contract, "google.api.field_behavior")]:
            flat["required"] = True
    return flat


def _extension(contract: Contract, name: str) -> Any:
    return contract.pool.FindExtensionByName(name)


def _leaves(rules: Message, prefix: str) -> Iterator[tuple[str, Any]]:
    for field, value in rules.ListFields():
        path = f"{prefix}{field.name}"
        if field.is_repeated:
            yield path, tuple(one.SerializeToString() if isinstance(one, Message) else one for one in value)
        elif field.message_type is not None and not field.message_type.full_name.startswith("google."):
            yield from _leaves(value, f"{path}.")
        else:
            yield path, value.SerializeToString() if isinstance(value, Message) else value


def _tighter(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    """Rules of `new` that may refuse what `old` accepts."""
    for rule in sorted(old.keys() | new.keys()):
        before, after = old.get(rule), new.get(rule)
        gone = after is None or after is False
        if before != after and not gone and not _looser(rule, before, after):
            was = f", which was {before!r}" if before is not None else ""
            yield f"`{rule}` is {after!r}{was}"
    if "ignore" in old and "ignore" not in new:
        yield "the zero value is not excepted from its rules any more"


def _looser(rule: str, before: Any, after: Any) -> bool:
    """Whether a rule that was there has only given way, as far as that can be told."""
    if rule == "ignore":
        return before is None
    if before is None:
        return False
    name = rule.rpartition(".")[2]
    if name.startswith(_UPPER):
        return bool(after >= before)
    if name.startswith(_LOWER):
        return bool(after <= before)
    if name == "in":
        return set(after) >= set(before)
    return name == "not_in" and set(after) <= set(before)


def _marks(contract: Contract, field: FieldDescriptor) -> frozenset[str]:
    policy = _options(contract, field).Extensions[_extension(contract, "tulle.policy.v1.field")]
    return frozenset(mark.name for mark, value in policy.ListFields() if value)
