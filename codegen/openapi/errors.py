"""How errors look over REST: `google.rpc.Status` as the gateway writes it, per method and status."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from codegen.project import Project
from mesh import model
from mesh.contract import NONE, HttpRule, Method

Json = dict[str, Any]

# HTTP status and google.rpc.Code of each class of mesh.model (google/rpc/code.proto).
STATUSES: Mapping[str, tuple[int, int]] = {
    "Invalid": (400, 3),
    "FailedPrecondition": (400, 9),
    "Unauthenticated": (401, 16),
    "Denied": (403, 7),
    "NotFound": (404, 5),
    "AlreadyExists": (409, 6),
    "Conflict": (409, 10),
    "TooLarge": (413, 3),
    "Exhausted": (429, 8),
    "Internal": (500, 13),
    "Unavailable": (503, 14),
    "DeadlineExceeded": (504, 4),
}
_NEVER_THE_PLATFORM = ("FailedPrecondition", "NotFound", "AlreadyExists")
# What the edge alone says, or what has no class because nobody raises it on purpose.
_OTHER = {
    "TooLarge": "The request is larger than the gateway takes.",
    "Internal": "Something failed that should not; it is logged under the request's id.",
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """One way in which a call can fail. `owner`: the domain of its ErrorInfo; empty for the platform's own."""

    base: str
    reason: str
    message: str
    owner: str = ""

    @property
    def status(self) -> int:
        return STATUSES[self.base][0]


def refusals(project: Project, method: Method, rule: HttpRule) -> list[Refusal]:
    """Every way in which a method can fail over REST: the platform's, then its own by reason."""
    domain = project.contract.services[method.service].domain
    defined = project.errors.get(domain, {})
    own = [
        Refusal(defined[reason].base, reason, defined[reason].message, f"{domain}.tulle")
        for reason in sorted(method.reasons & defined.keys())
    ]
    return [*_platforms(method, rule), *own]


def _platforms(method: Method, rule: HttpRule) -> Iterator[Refusal]:
    """What gateway and pipeline may answer before the method's own code, or in its place."""
    yield _of("Invalid")
    if method.end_user != NONE:
        yield _of("Unauthenticated")
    if method.roles:
        yield _of("Denied")
    if method.request_id:
        yield _of("Conflict")
    if rule.body:
        yield _of("TooLarge")
    for name in ("Exhausted", "Internal", "Unavailable", "DeadlineExceeded"):
        yield _of(name)


def _of(name: str) -> Refusal:
    known: type[model.Error] | None = getattr(model, name, None)
    return Refusal(name, known.reason if known else "", _OTHER.get(name) or (known.__doc__ or "" if known else ""))


def response(refusals: list[Refusal]) -> Json:
    """The response of one status: each reason with its message and an example."""
    if len(refusals) == 1 and not refusals[0].owner:
        return {"$ref": f"#/components/responses/{refusals[0].base}"}
    return _response(refusals)


def _response(refusals: list[Refusal]) -> Json:
    lines = [f"`{refusal.reason}`: {refusal.message}" if refusal.reason else refusal.message for refusal in refusals]
    examples = {refusal.reason or refusal.base: {"value": body(refusal)} for refusal in refusals}
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Status"}, "examples": examples}}
    return {"description": "\n\n".join(lines), "content": content}


def shared_responses() -> Json:
    """The platform's own refusals, which most operations share."""
    return {name: _response([_of(name)]) for name in STATUSES if name not in _NEVER_THE_PLATFORM}


def body(refusal: Refusal) -> Json:
    """The JSON of one refusal."""
    status: Json = {"code": STATUSES[refusal.base][1], "message": refusal.message, "details": []}
    if refusal.owner:
        info = {"reason": refusal.reason, "domain": refusal.owner, "metadata": {}}
        status["details"] = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", **info}]
    return status


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
