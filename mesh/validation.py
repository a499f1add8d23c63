"""A request must keep the rules of its contract (protovalidate)."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable

import protovalidate
from google.protobuf.message import Message

from mesh import limits
from mesh.call import Call, Proceed
from mesh.contract import Method
from mesh.messages import message_class
from mesh.model import Invalid, Violation


def valid(method: Method, proceed: Proceed) -> Proceed:
    """Raises: Invalid, naming the fields."""
    _prepare(method)

    def step(request: Message, call: Call) -> Awaitable[bytes]:
        validate(request)
        return proceed(request, call)

    return step


def _prepare(method: Method) -> None:
    """Rules are compiled when a type is first met: let that be at the start, and a bad rule the end of it."""
    protovalidate.collect_violations(message_class(method.input)())


def validate(request: Message) -> None:
    """Raises: Invalid with the first VIOLATIONS_TOLD violations."""
    if found := protovalidate.collect_violations(request):
        told = itertools.islice(found, limits.VIOLATIONS_TOLD)
        raise Invalid(violations=tuple(_violation(one.proto) for one in told))


def _violation(violation: protovalidate.ViolationPb) -> Violation:
    elements = violation.field.elements if violation.field else ()
    return Violation(".".join(map(_element, elements)), violation.message or violation.rule_id)


def _element(element: protovalidate.FieldPathElementPb) -> str:
    if element.subscript is None:
        return element.field_name
    return f"{element.field_name}[{element.subscript.value}]"
