"""What the edge itself answers: a google.rpc.Status in JSON for REST, on every refusal.

A gRPC client's refusals stay as Envoy makes them, in `grpc-status` and `grpc-message`: for a REST
client the transcoder leaves its mark, and whoever was refused before it has no gRPC content type.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gateway.limits import JWT
from mesh import hops
from mesh.envoy import Config

DOMAIN = "gateway.tulle"
EDGE = "tulle.edge"
"""Namespace of the metadata with which the filters of the edge talk to each other."""

CORRECTED = {
    # Without keys nobody can tell whether a token is good: nobody should throw a good one away.
    "Jwks remote fetch is failed": 503,
    # A token for somebody else is no token here; Envoy says 403.
    "Audiences in Jwt are not allowed": 401,
}
"""What jwt_authn's failures should be, where it is wrong."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What is told for an HTTP status: code of google.rpc, message, reason."""

    status: int
    code: int
    message: str
    reason: str


REPLIES = (
    Reply(400, 3, "The request is malformed. %LOCAL_REPLY_BODY%", "BAD_REQUEST"),
    Reply(401, 16, "A valid access token is needed. %LOCAL_REPLY_BODY%.", "UNAUTHENTICATED"),
    Reply(403, 7, "You may not do this.", "DENIED"),
    Reply(404, 5, "There is nothing at this path.", "NO_SUCH_PATH"),
    Reply(408, 4, "The request did not arrive in time.", "REQUEST_TIMEOUT"),
    Reply(413, 3, f"The request is longer than {hops.MAX_REQUEST} bytes.", "REQUEST_TOO_LARGE"),
    Reply(415, 3, "The body must be application/json.", "UNSUPPORTED_MEDIA_TYPE"),
    Reply(426, 9, "Use HTTP/1.1 or HTTP/2.", "UPGRADE_REQUIRED"),
    Reply(429, 8, "Too many requests; slow down.", "RATE_LIMITED"),
    Reply(431, 3, "The request's headers are too large.", "HEADERS_TOO_LARGE"),
    Reply(500, 13, "Something went wrong; report it with the x-request-id.", "INTERNAL"),
    Reply(502, 14, "The service gave no proper answer; try again.", "UNAVAILABLE"),
    Reply(503, 14, "Not available now; try again.", "UNAVAILABLE"),
    Reply(504, 4, "The time for this call ran out.", "DEADLINE_EXCEEDED"),
)


def mappers() -> list[Config]:
    """The rows of local_reply_config; the first that matches decides."""
    corrected = (row for failure, status in CORRECTED.items() for row in _corrected(failure, status))
    return [*corrected, _ready(), *(_mapper(reply) for reply in REPLIES)]


def _mapper(reply: Reply) -> Config:
    value = {"default_value": reply.status, "runtime_key": f"tulle.reply.{reply.status}"}
    status = {"status_code_filter": {"comparison": {"op": "EQ", "value": value}}}
    return {"filter": _all(status, _REST), "body_format_override": _json(reply)}


def _corrected(failure: str, status: int) -> Iterator[Config]:
    """The right status for a token's failure, for REST and for gRPC."""
    failed = _metadata(JWT, ["failure", "message"], {"string_match": {"exact": failure}})
    reply = next(reply for reply in REPLIES if reply.status == status)
    yield {"filter": _all(failed, _GRPC), "status_code": status}
    yield {"filter": _all(failed, _REST), "status_code": status, "body_format_override": _json(reply)}


def _ready() -> Config:
    """What the strict check answers is JSON already."""
    own = _metadata(EDGE, ["refused"], {"bool_match": True})
    body = {"text_format_source": {"inline_string": "%LOCAL_REPLY_BODY%"}, "content_type": "application/json"}
    return {"filter": _all(own, _REST), "body_format_override": body}


def _json(reply: Reply) -> Config:
    details: list[Config] = [_detail("ErrorInfo", reason=reply.reason, domain=DOMAIN, metadata={})]
    if reply.status == 429:
        details.append(_detail("RetryInfo", retryDelay="%RESP(RETRY-AFTER)%s"))
    if reply.status == 503:
        details.append(_detail("RetryInfo", retryDelay="1s"))
    body = {"code": reply.code, "message": reply.message, "details": details}
    return {"json_format": body, "content_type": "application/json"}


def _detail(message: str, **fields: object) -> Config:
    return {"@type": f"type.googleapis.com/google.rpc.{message}", **fields}


def _all(*filters: Config) -> Config:
    return {"and_filter": {"filters": list(filters)}}


def _metadata(namespace: str, path: list[str], value: Config) -> Config:
    matcher = {"filter": namespace, "path": [{"key": key} for key in path], "value": value}
    return {"metadata_filter": {"matcher": matcher, "match_if_key_not_found": False}}


def _header(name: str, **match: object) -> Config:
    return {"header_filter": {"header": {"name": name, **match}}}


_TRANSCODED = _header("x-envoy-original-path", present_match=True)
_NOT_TRANSCODED = _header("x-envoy-original-path", present_match=True, invert_match=True)
_IS_GRPC = _header("content-type", string_match={"prefix": "application/grpc"})
_IS_NOT_GRPC = _header(
    "content-type", string_match={"prefix": "application/grpc"}, invert_match=True, treat_missing_header_as_empty=True
)
_REST = {"or_filter": {"filters": [_TRANSCODED, _IS_NOT_GRPC]}}
_GRPC = _all(_NOT_TRANSCODED, _IS_GRPC)
