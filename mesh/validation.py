"""A request must keep the rules of its contract (protovalidate)."""

from __future__ import annotations

import protovalidate
from google.protobuf.message import Message

from mesh.model import Invalid, Violation


class InvalidRequest(Invalid):
    """The request breaks the rules of its contract; the violations name the fields."""


InvalidRequest.reason = Invalid.reason


def validate(request: Message) -> None:
    """Raises: InvalidRequest with every violation."""
    found = protovalidate.collect_violations(request)
    if found:
        raise InvalidRequest(violations=tuple(_violation(one.proto) for one in found))


def _violation(violation: protovalidate.ViolationPb) -> Violation:
    return Violation(".".join(map(_element, violation.field.elements)), violation.message or violation.rule_id)


def _element(element: protovalidate.FieldPathElementPb) -> str:
    if element.subscript is None:
        return element.field_name
    return f"{element.field_name}[{element.subscript.value}]"
