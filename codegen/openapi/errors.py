"""How errors look over REST: `google.rpc.Status` as the gateway writes it, per method and status."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from codegen.project import STATUSES, Project
from gateway.replies import DOMAIN, REPLIES
from mesh import model
from mesh.contract import NONE, HttpRule, Method
from mesh.errors import CODES

Json = dict[str, Any]

# The HTTP status that the transcoder gives to each google.rpc.Code (google/rpc/code.proto).
HTTP = {3: 400, 4: 504, 5: 404, 6: 409, 7: 403, 8: 429, 9: 400, 10: 409, 13: 500, 14: 503, 16: 401}
# What the first filter of the edge refuses (gateway/*.lua), of any request and of one with a body.
STRICT = {
    "UNKNOWN_PARAMETER": "There is no such query parameter at this path; the message names it.",
    "REPEATED_PARAMETER": "A query parameter stands there twice; the message names it.",
    "WRONG_TYPE": "A value has the wrong type or is out of its type's range; the violation names its path.",
    "UNKNOWN_VALUE": "A value is none of its enum; the violation names its path and the message those that are.",
}
STRICT_BODY = {
    "MALFORMED_JSON": "The body is not strict JSON; the message says where.",
    "UNKNOWN_FIELD": "The body has a field that the request does not know; the message gives its path.",
    "REPEATED_FIELD": "A field of the body stands there twice; the message gives its path.",
    "CONFLICTING_FIELDS": "Only one of two fields may be set; the message names them.",
    "TOO_DEEP": "The body is nested too deeply.",
}
STRICT_NO_BODY = {"UNEXPECTED_BODY": "This request takes no body."}
# About paths, verbs, upgrades and encodings, which are no operations; the last two are among the replies by status too.
STRICT_NO_OPERATION = (
    "NO_SUCH_PATH",
    "MALFORMED_PATH",
    "UNSUPPORTED_ENCODING",
    "METHOD_NOT_ALLOWED",
    "UPGRADE_NOT_OFFERED",
    "UNSUPPORTED_MEDIA_TYPE",
    "INTERNAL",
)


@dataclass(frozen=True, slots=True)
class Refusal:
    """One way in which a call can fail. `domain`: that of its ErrorInfo."""

    status: int
    code: int
    reason: str
    message: str
    domain: str = DOMAIN


def responses(project: Project, method: Method, rule: HttpRule) -> Json:
    """The responses of every status with which a method can be refused, by status."""
    refusals = _by_status([*_platforms(method, rule), *_own(project, method)])
    return {str(status): _shared_or_own(group, rule) for status, group in refusals}


def _by_status(refusals: Iterable[Refusal]) -> list[tuple[int, list[Refusal]]]:
    groups = itertools.groupby(sorted(refusals, key=lambda refusal: refusal.status), key=lambda r: r.status)
    return [(status, list(group)) for status, group in groups]


def _own(project: Project, method: Method) -> Iterator[Refusal]:
    """What the method's service says by name, once it is written."""
    domain = project.contract.services[method.service].domain
    defined = project.errors.get(domain, {})
    for reason in sorted(_reasons(method) & defined.keys()):
        code = CODES[STATUSES[defined[reason].base]]
        yield Refusal(HTTP[code], code, reason, defined[reason].message, f"{domain}.tulle")


def _reasons(method: Method) -> frozenset[str]:
    """The method's own reasons, and those of what its contract has asked of the platform."""
    reasons = set(method.reasons)
    if method.request_id:
        reasons |= {"REQUEST_ID_REUSED", "REQUEST_IN_PROGRESS"}
    if method.request_id and method.returns_secret:
        reasons.add("ANSWER_NOT_KEPT")
    if method.fresh:
        reasons |= {"MEMBERSHIP_ENDED", "SESSION_ENDED"}
    return frozenset(reasons)


def _platforms(method: Method, rule: HttpRule) -> Iterator[Refusal]:
    """What gateway and pipeline may answer before the method's own code, or in its place."""
    yield _of(model.Invalid)
    yield from (Refusal(400, 3, reason, message) for reason, message in _strict(rule).items())
    if method.end_user != NONE:
        yield _of(model.Unauthenticated)
        yield _of(model.Denied)
    if rule.verb != "GET":
        yield _of(model.Conflict)
    yield from map(_reply, (404,) if "{" in rule.path else ())
    yield from map(_reply, (413, 415) if rule.body else ())
    yield _of(model.Exhausted)
    yield from map(_reply, (429, 500, 503, 504))


def _strict(rule: HttpRule) -> Mapping[str, str]:
    return STRICT | (STRICT_BODY if rule.body else STRICT_NO_BODY)


def _of(error: type[model.Error]) -> Refusal:
    return Refusal(HTTP[CODES[error]], CODES[error], error.reason, " ".join((error.__doc__ or "").split()))


def _reply(status: int) -> Refusal:
    """What the edge itself answers with a status."""
    reply = next(reply for reply in REPLIES if reply.status == status)
    return Refusal(status, reply.code, reply.reason, reply.message)


def _shared_or_own(refusals: list[Refusal], rule: HttpRule) -> Json:
    """A pointer to a response that operations share, unless the method has reasons of its own."""
    if any(refusal.domain != DOMAIN for refusal in refusals):
        return _response(refusals)
    return {"$ref": f"#/components/responses/{_name(refusals[0].status, rule)}"}


def _name(status: int, rule: HttpRule) -> str:
    without = "WithoutBody" if status == 400 and not rule.body else ""
    return HTTPStatus(status).phrase.title().replace(" ", "") + without


def shared(bound: Iterable[tuple[Method, HttpRule]]) -> Json:
    """The responses to which operations may point."""
    found = {
        _name(status, rule): _response(group)
        for method, rule in bound
        for status, group in _by_status(_platforms(method, rule))
    }
    return dict(sorted(found.items()))


def _response(refusals: list[Refusal]) -> Json:
    """Each reason with its message and an example."""
    lines = (f"`{refusal.reason}`: {refusal.message}" for refusal in refusals)
    examples = {refusal.reason: {"value": body(refusal)} for refusal in refusals}
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Status"}, "examples": examples}}
    return {"description": "\n\n".join(lines), "content": content}


def body(refusal: Refusal) -> Json:
    """The JSON of one refusal."""
    info = {"reason": refusal.reason, "domain": refusal.domain, "metadata": {}}
    details = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", **info}]
    return {"code": refusal.code, "message": refusal.message, "details": details}


def _detail(name: str, properties: Json) -> Json:
    kind = {"const": f"type.googleapis.com/google.rpc.{name}"}
    return {"type": "object", "required": ["@type"], "properties": {"@type": kind, **properties}}


_TEXT = {"type": "string"}
_TEXTS = {"type": "object", "additionalProperties": _TEXT}
_VIOLATION = {"type": "object", "properties": {"field": _TEXT, "description": _TEXT, "reason": _TEXT}}
SCHEMAS: Json = {
    "Status": {
        "type": "object",
        "description": "What every refused call is answered with (google.rpc.Status, AIP-193).",
        "required": ["code", "message"],
        "properties": {
            "code": {"type": "integer", "description": "A google.rpc.Code.", "minimum": 1, "maximum": 16},
            "message": {"type": "string", "description": "For the developer, in English."},
            "details": {"type": "array", "items": {"$ref": "#/components/schemas/Detail"}},
        },
    },
    "Detail": {
        "description": "What a program reads: the reason, the fields that break a rule, or when to come again.",
        "type": "object",
        "required": ["@type"],
        "anyOf": [
            _detail("ErrorInfo", {"reason": _TEXT, "domain": _TEXT, "metadata": _TEXTS}),
            _detail("BadRequest", {"fieldViolations": {"type": "array", "items": _VIOLATION}}),
            _detail("RetryInfo", {"retryDelay": {"type": "string", "description": "Seconds, such as `1.5s`."}}),
        ],
    },
}
