"""Breaks in what fields may hold (protovalidate, field_behavior) and how they are handled (tulle.policy.v1.field)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import protovalidate
from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from codegen.breaking.breaks import Break, Change, callers
from mesh.contract import Contract

_UPPER = ("lt", "lte", "within")
_LOWER = ("gt", "gte")
_RULES = {"field": "buf.validate.field", "message": "buf.validate.message", "oneof": "buf.validate.oneof"}


def requests(change: Change) -> Iterator[Break]:
    """What a request may hold: a tighter rule refuses what was accepted."""
    for name, senders in _sent(change.old).items():
        for subject, old, new in _rules(change, name):
            for what in _tighter(old, new):
                yield _refused(change, subject, what, senders)


def additions(change: Change) -> Iterator[Break]:
    """What is new in a request: who does not know of it leaves it out, and must not be refused."""
    for name, senders in _sent(change.old).items():
        new = change.message(name)
        if new is None:
            continue
        known = {part.name for part in (*_old(change, name).fields, *_old(change, name).oneofs)}
        for part in sorted(_needed(change.new, new) - known):
            what = "it is new, and a request without it is refused"
            yield _refused(change, f"{name}.{part}", what, senders)


def inputs(change: Change) -> Iterator[Break]:
    """Fields that could be set and are the server's alone now (OUTPUT_ONLY)."""
    for name, senders in _sent(change.old).items():
        for old, new in _both(change, name):
            if "OUTPUT_ONLY" in _behaviors(change.new, new) - _behaviors(change.old, old):
                yield _refused(change, old.full_name, "it is OUTPUT_ONLY now: nobody can set it", senders)


def _refused(change: Change, subject: str, what: str, senders: frozenset[str]) -> Break:
    whom = f"{callers(senders)}, who send what was accepted"
    instead = "accept it as before; new rules belong to new fields that may be left out"
    return Break(subject, "validation", what, whom, instead, change.where(subject))


def answers(change: Change) -> Iterator[Break]:
    """What an answer or an event may hold: a looser rule sends readers what they never saw."""
    for name, readers in _read(change.old).items():
        for subject, old, new in _rules(change, name):
            for what in _tighter(new, old):
                whom = f"{callers(readers) or 'whoever replays it'}, who read it and rely on the rule"
                instead = "keep the rule, or answer more in a new field"
                told = f"not so any more: {what}"
                yield Break(subject, "validation-looser", told, whom, instead, change.where(subject))


def markings(change: Change) -> Iterator[Break]:
    """Personal data and secrets: a mark that goes lets a value into logs, URLs and stored answers."""
    for name in sorted(_sent(change.old).keys() | _read(change.old).keys()):
        for old, new in _both(change, name):
            for gone in sorted(_marks(change.old, old) - _marks(change.new, new)):
                what = f"it is not marked `{gone}` any more, so that its value may be logged"
                whom = "the people whom the value concerns"
                yield Break(old.full_name, "marking", what, whom, "leave the mark", change.where(old.full_name))


ASPECTS = (requests, additions, inputs, answers, markings)


def _sent(contract: Contract) -> Mapping[str, frozenset[str]]:
    """Each message that a request holds, with those who send it."""
    return _reached(contract, [(method.input, method.callers) for method in contract.methods])


def _read(contract: Contract) -> Mapping[str, frozenset[str]]:
    """Each message that an answer or an event holds, with those who read it."""
    answers = [(method.output, method.callers) for method in contract.methods]
    return _reached(contract, [*answers, *((name, event.consumers) for name, event in contract.events.items())])


def _reached(contract: Contract, roots: Iterable[tuple[str, frozenset[str]]]) -> Mapping[str, frozenset[str]]:
    found: dict[str, frozenset[str]] = {}
    for root, workloads in roots:
        seen: set[str] = set()
        _collect(contract.pool.FindMessageTypeByName(root), seen)
        for name in seen:
            found[name] = found.get(name, frozenset()) | workloads
    return dict(sorted(found.items()))


def _collect(message: Descriptor, seen: set[str]) -> None:
    if message.full_name in seen or not message.full_name.startswith("tulle."):
        return
    seen.add(message.full_name)
    for field in message.fields:
        if field.message_type is not None:
            _collect(field.message_type, seen)


def _old(change: Change, name: str) -> Descriptor:
    found: Descriptor = change.old.pool.FindMessageTypeByName(name)
    return found


def _both(change: Change, name: str) -> list[tuple[FieldDescriptor, FieldDescriptor]]:
    """The fields of a message that are in both, old and new."""
    new = change.message(name)
    known = new.fields_by_name if new is not None else {}
    return [(field, known[field.name]) for field in _old(change, name).fields if field.name in known]


def _needed(contract: Contract, message: Descriptor) -> set[str]:
    """The fields and oneofs without which a message is refused."""
    empty: Message = message_factory.GetMessageClass(message)()
    # A validator of its own: one keeps rules by a message's name, and then and now have the same names.
    places = [violation.proto.field for violation in protovalidate.Validator().collect_violations(empty)]
    required = {field.name for field in message.fields if "REQUIRED" in _behaviors(contract, field)}
    return required | {place.elements[0].field_name for place in places if place and place.elements}


def _rules(change: Change, name: str) -> Iterator[tuple[str, Mapping[str, Any], Mapping[str, Any]]]:
    """(full name, rules of then, rules of now) of a message, its oneofs and its fields that are in both."""
    old, new = _old(change, name), change.message(name)
    if new is None:
        return
    yield name, _flat(change.old, old, "message"), _flat(change.new, new, "message")
    for oneof in old.oneofs:
        if oneof.name in new.oneofs_by_name:
            now = _flat(change.new, new.oneofs_by_name[oneof.name], "oneof")
            yield oneof.full_name, _flat(change.old, oneof, "oneof"), now
    for before, after in _both(change, name):
        yield before.full_name, _flat(change.old, before, "field"), _flat(change.new, after, "field")


def _options(contract: Contract, element: Any) -> Any:
    """An element's options, read with the contract's own pool."""
    kind = element.GetOptions().DESCRIPTOR.full_name
    options: Any = message_factory.GetMessageClass(contract.pool.FindMessageTypeByName(kind))
    return options.FromString(element.GetOptions().SerializeToString())


def _flat(contract: Contract, element: Any, kind: str) -> Mapping[str, Any]:
    """The rules of an element as `string.max_len: 20`, with `required` also where field_behavior says it."""
    rules = _options(contract, element).Extensions[_extension(contract, _RULES[kind])]
    flat = dict(_leaves(rules, ""))
    if kind == "field" and "REQUIRED" in _behaviors(contract, element):
        flat["required"] = True
    return flat


def _behaviors(contract: Contract, field: FieldDescriptor) -> set[str]:
    """What google.api.field_behavior says of a field."""
    names = contract.pool.FindEnumTypeByName("google.api.FieldBehavior").values_by_number
    return {
        names[one].name
        for one in _options(contract, field).Extensions[_extension(contract, "google.api.field_behavior")]
    }


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
            yield path, _plain(value)


def _plain(value: Any) -> Any:
    """A rule's value such that it can be compared: times are seconds."""
    if not isinstance(value, Message):
        return value
    is_time = {"seconds", "nanos"} == set(value.DESCRIPTOR.fields_by_name)
    return value.seconds + value.nanos / 1e9 if is_time else value.SerializeToString()  # type: ignore[attr-defined]


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
        return before is None or bool(after > before)
    if before is None:
        return False
    name = rule.rpartition(".")[2]
    if name in _UPPER or name.startswith("max_"):
        return bool(after >= before)
    if name in _LOWER or name.startswith("min_"):
        return bool(after <= before)
    if name == "in":
        return set(after) >= set(before)
    return name == "not_in" and set(after) <= set(before)


def _marks(contract: Contract, field: FieldDescriptor) -> frozenset[str]:
    policy = _options(contract, field).Extensions[_extension(contract, "tulle.policy.v1.field")]
    return frozenset(mark.name for mark, value in policy.ListFields() if value)
