"""What can be wrong with a request of a route, generated from the contract: pure functions of its messages.

Each attempt is a request with exactly one thing wrong, and what the answer must say about it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import protovalidate
from google.protobuf import json_format, message_factory
from google.protobuf.descriptor import FieldDescriptor

from codegen.fields import is_map
from gateway.fields import json_name
from mesh.hops import MAX_REQUEST
from tests.e2e.routes import Json, Requests, is_leaf

JSON = {"content-type": "application/json"}


@dataclass(frozen=True)
class Attempt:
    """A request, and what must come of it: a status, one of `reasons`, and `place` among the fields named."""

    what: str
    status: int
    reasons: tuple[str, ...]
    place: str = ""
    content: bytes | None = None
    query: Mapping[str, str] = field(default_factory=dict)
    path: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=lambda: JSON)
    verb: str = ""


def unknown_fields(requests: Requests) -> Iterator[Attempt]:
    """A field that the contract lacks, in the body and in each message within it; in the query; bound elsewhere."""
    yield Attempt("unknown parameter", 400, ("UNKNOWN_PARAMETER",), "nope", *_sent(requests), query={"nope": "1"})
    for name in sorted(requests.bound):
        query = {name: "x"}
        yield Attempt("bound by the path", 400, ("UNKNOWN_PARAMETER",), name, *_sent(requests), query=query)
        if requests.route.rule.body == "*":
            yield _body("bound by the path", "UNKNOWN_FIELD", name, requests.with_body(**{name: "x"}))
    for one in requests.body_fields:
        query = {json_name(one): "x"}
        if one.name not in {f.name for f in requests.query_fields}:
            yield Attempt(
                "belongs in the body", 400, ("UNKNOWN_PARAMETER",), json_name(one), *_sent(requests), query=query
            )
    if requests.route.rule.body and not requests.raw:
        for path in _messages(requests.body_fields, ()):
            yield _body("unknown field", "UNKNOWN_FIELD", ".".join((*path, "nope")), _nested(requests, path))


def _sent(requests: Requests) -> tuple[bytes | None]:
    return (None if requests.body is None else json.dumps(requests.body).encode(),)


def _body(what: str, reason: str, place: str, content: bytes) -> Attempt:
    return Attempt(what, 400, (reason,), place, content)


def _messages(fields: list[FieldDescriptor], above: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Where messages stand: the body itself, and each single message in it, three deep."""
    yield above
    for one in fields:
        if not is_leaf(one) and not one.is_repeated and len(above) < 3:
            yield from _messages(list(one.message_type.fields), (*above, json_name(one)))


def _nested(requests: Requests, path: tuple[str, ...]) -> bytes:
    inner: Json = {"nope": 1}
    for name in reversed(path[1:]):
        inner = {name: inner}
    return requests.with_body(**({path[0]: inner} if path else inner))


def wrong_types(requests: Requests) -> Iterator[Attempt]:
    """Each field with values of other JSON types, out of its type's range, or of no name of its enum."""
    for one in requests.body_fields:
        for value in wrong_values(one):
            reasons = ("WRONG_TYPE", "UNKNOWN_VALUE")
            content = requests.with_body(**{json_name(one): value})
            yield Attempt(f"{one.name}: {value!r}", 400, reasons, json_name(one), content)
    for one in requests.query_fields:
        for text in ("x", "5.5", str(2**64), "true", "") if one.cpp_type in NUMBERS else ():
            query = {json_name(one): text}
            yield Attempt(f"{one.name}={text}", 400, ("WRONG_TYPE",), json_name(one), *_sent(requests), query=query)


NUMBERS = (
    FieldDescriptor.CPPTYPE_INT32,
    FieldDescriptor.CPPTYPE_UINT32,
    FieldDescriptor.CPPTYPE_INT64,
    FieldDescriptor.CPPTYPE_UINT64,
)


def wrong_values(one: FieldDescriptor) -> tuple[Any, ...]:
    """Values of which the JSON type, the range or the name is wrong for a field."""
    if is_map(one):
        return ([], "x", 5)
    if one.is_repeated:
        return ({}, "x", 5, [None])
    if one.message_type is not None and not is_leaf(one):
        return ([], "x", 5)
    if one.enum_type is not None:
        return ("NOPE", "", True, 5.5, 2**40, [], {})
    if one.cpp_type in NUMBERS:
        return ("x", "", True, 5.5, 2**64, [], {})
    if one.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return ("true", "", 1, [], {})
    if one.message_type is not None and one.message_type.full_name.endswith(("Timestamp", "Duration")):
        return ("yesterday", "", 5, [], {})
    return (5, True, [], {})


def malformed(requests: Requests) -> Iterator[Attempt]:
    """Bodies that are not strict JSON in UTF-8."""
    if requests.raw:
        return
    body = requests.body or {}
    text = json.dumps(body)
    inside = text[1:-1]
    name = next(iter(body), "")
    yield from (_malformed(what, content) for what, content in _broken(text, inside, name))
    if name:
        twice = f'{{{inside}, "{name}": {json.dumps(body[name])}}}'
        yield Attempt("said twice", 400, ("REPEATED_FIELD",), name, twice.encode())


def _malformed(what: str, content: bytes) -> Attempt:
    return Attempt(what, 400, ("MALFORMED_JSON", "WRONG_TYPE", "UNKNOWN_FIELD"), content=content)


def _broken(text: str, inside: str, name: str) -> Iterator[tuple[str, bytes]]:
    whole = text.encode()
    yield "truncated", whole[:-1]
    yield "trailing garbage", whole + b" x"
    yield "two documents", whole + whole
    for bare in (b"5", b'"x"', b"null", b"true", b"[]", b" ", b"NaN"):
        yield f"bare {bare!r}", bare
    yield "byte order mark", b"\xef\xbb\xbf" + whole
    yield "UTF-16", text.encode("utf-16-le")
    yield "trailing comma", f"{{{inside},}}".encode()
    yield "comment", f"{{{inside} /* no */}}".encode()
    yield "single quotes", f"{{'{name}': 1}}".encode()
    for what, value in (("NaN", b"NaN"), ("Infinity", b"-Infinity"), ("octal", b"01"), ("plus", b"+1")):
        yield what, f'{{"{name}": '.encode() + value + b"}"
    for what, value in (("invalid UTF-8", b"\xff"), ("overlong", b"\xc0\xaf"), ("lone surrogate", b"\\ud800")):
        yield what, f'{{"{name}": "'.encode() + value + b'"}'
    yield "control character", f'{{"{name}": "\n"}}'.encode()
    yield "too deep", f'{{"{name}": '.encode() + b'{"a":' * 1000 + b"1" + b"}" * 1001


def wrong_bodies(requests: Requests) -> Iterator[Attempt]:
    """Bodies of another type, compressed, too long, or where none belongs."""
    (content,) = _sent(requests)
    if content is None:
        yield Attempt("a body where none belongs", 400, ("UNEXPECTED_BODY",), content=b"{}")
        return
    kinds = (
        "text/plain",
        "application/xml",
        "application/x-www-form-urlencoded",
        "application/json; charset=latin1",
        "",
    )
    for kind in kinds:
        headers = {"content-type": kind} if kind else {}
        yield Attempt(f"type {kind!r}", 415, ("UNSUPPORTED_MEDIA_TYPE",), content=content, headers=headers)
    for coding in ("gzip", "br"):
        headers = JSON | {"content-encoding": coding}
        yield Attempt(coding, 415, ("UNSUPPORTED_ENCODING",), content=content, headers=headers)
    yield Attempt("too long", 413, ("REQUEST_TOO_LARGE",), content=content + b" " * MAX_REQUEST)


# Values of which at least one breaks whatever rule a field has; protovalidate says which do.
_CANDIDATES: Mapping[int, tuple[Any, ...]] = {
    FieldDescriptor.CPPTYPE_STRING: ("", "\u0001", "x", "x y", "x" * 5000),
    FieldDescriptor.CPPTYPE_ENUM: (0, 9999),
    FieldDescriptor.CPPTYPE_BOOL: (False, True),
    FieldDescriptor.CPPTYPE_INT32: (-1, 2**31 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_INT64: ("-1", str(2**63 - 1)),
    FieldDescriptor.CPPTYPE_UINT64: ("0", str(2**64 - 1)),
}


def broken_rules(requests: Requests) -> Iterator[Attempt]:
    """Each value that breaks exactly one rule of the request, as protovalidate itself sees it."""
    for one in requests.body_fields:
        for value in _values(one):
            whole = changed(requests, {json_name(one): value}, {})
            yield from _breaking(requests, f"{requests.prefix}{one.name}", value, whole, one)
    for name in sorted(requests.bound):
        for value in ("x", "user_x"):
            found = violated(requests, changed(requests, {}, {name: value}))
            if found == {name}:
                yield Attempt(f"{name}={value}", 400, ("INVALID",), name, *_sent(requests), path={name: value})
    for one in requests.query_fields:
        for value in _values(one):
            if violated(requests, changed(requests, {}, {json_name(one): value})) == {one.name}:
                query = {json_name(one): str(value)}
                yield Attempt(f"{one.name}={value!r}", 400, ("INVALID",), one.name, *_sent(requests), query=query)


def _breaking(requests: Requests, place: str, value: Any, whole: Json, one: FieldDescriptor) -> Iterator[Attempt]:
    if violated(requests, whole) == {place}:
        content = requests.with_body(**{json_name(one): value})
        yield Attempt(f"{place}: {str(value)[:20]!r}", 400, ("INVALID",), place, content)


def _values(one: FieldDescriptor) -> tuple[Any, ...]:
    values = _CANDIDATES.get(one.cpp_type, ())
    return tuple([value] for value in values) if one.is_repeated else values


def changed(requests: Requests, body: Json = {}, rest: Json = {}) -> Json:  # noqa: B006 (never changed)
    """The whole request with changes in its body and beside it."""
    name = requests.route.rule.body
    path = {requests.json_name(key): value for key, value in requests.path.items()} | requests.query
    if name in ("", "*"):
        return {**path, **json.loads(requests.with_body(**body) if requests.body is not None else b"{}"), **rest}
    return {requests.json_name(name): json.loads(requests.with_body(**body)), **rest}


def violated(requests: Requests, whole: Json) -> set[str]:
    """The fields of a request that break rules."""
    message = message_factory.GetMessageClass(requests.message)()
    json_format.ParseDict(whole, message)
    found = protovalidate.collect_violations(message)
    paths = (one.proto.field for one in found)
    return {".".join(element.field_name for element in path.elements) for path in paths if path}


def nulls(requests: Requests) -> Iterator[Attempt]:
    """null is a field that is not there: refused by name where it must be."""
    for one in requests.body_fields:
        place = f"{requests.prefix}{one.name}"
        whole = changed(requests, {json_name(one): None}, {})
        if place in violated(requests, whole):
            yield replace(_body("null", "INVALID", place, requests.with_body(**{json_name(one): None})))
