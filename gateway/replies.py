"""What the edge itself answers, on every refusal: a google.rpc.Status, in JSON for REST and in its trailers for gRPC.

JSON that is not kept to REST lands in a gRPC client's `grpc-message`. A REST request is known by the
transcoder's mark, or, where it was refused before that, by having no gRPC content type.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from gateway import limits
from gateway.limits import JWT
from mesh import hops
from mesh.contract import Contract
from mesh.envoy import Config, http_filter
from mesh.refusals import DEADLINE_EXCEEDED, DENIED, NO_SUCH_METHOD, UNAVAILABLE, Refusal, every, has_status, over_grpc
from services.topology import GATEWAY

DOMAIN = "gateway.tulle"
EDGE = "tulle.edge"
"""Namespace of the metadata with which the filters of the edge talk to each other."""
_SAID = "%LOCAL_REPLY_BODY%"

UNAUTHENTICATED = Refusal(401, 16, "A valid access token is needed.", "UNAUTHENTICATED", more=f"{_SAID}.")
LIMITED = Refusal(429, 8, "Too many requests; slow down.", "RATE_LIMITED")
INTERNAL = Refusal(500, 13, "Something went wrong; report it with the x-request-id.", "INTERNAL")

# What REST and gRPC both meet, and what only REST does.
COMMON = (UNAUTHENTICATED, DENIED, INTERNAL, UNAVAILABLE, DEADLINE_EXCEEDED)
REST_ONLY = (
    Refusal(400, 3, "The request is malformed.", "BAD_REQUEST", more=_SAID),
    Refusal(404, 5, "There is nothing at this path.", "NO_SUCH_PATH"),
    Refusal(408, 4, "The request did not arrive in time.", "REQUEST_TIMEOUT"),
    Refusal(413, 3, f"The request is longer than {hops.MAX_REQUEST} bytes.", "REQUEST_TOO_LARGE"),
    Refusal(415, 3, "The body must be application/json.", "UNSUPPORTED_MEDIA_TYPE"),
    Refusal(426, 9, "Use HTTP/1.1 or HTTP/2.", "UPGRADE_REQUIRED"),
    Refusal(431, 3, "The request's headers are too large.", "HEADERS_TOO_LARGE"),
    Refusal(502, 14, "The service gave no proper answer; try again.", "UNAVAILABLE", pause=hops.HOP_PAUSE),
)

REPLIES = (*COMMON, LIMITED, *REST_ONLY)
"""Everything that Envoy itself may answer to REST; strict.lua has words of its own."""

CORRECTED = {
    # Without keys nobody can tell whether a token is good: nobody should throw a good one away.
    "Jwks remote fetch is failed": UNAVAILABLE,
    # A token for somebody else is no token here; Envoy says 403.
    "Audiences in Jwt are not allowed": UNAUTHENTICATED,
}
"""What jwt_authn's failures should be, where it is wrong."""


def mappers(contract: Contract, *, shared_limits: bool) -> list[Config]:
    """The rows of local_reply_config; the first that matches decides."""
    return [
        *(row for failure, refusal in CORRECTED.items() for row in _corrected(failure, refusal)),
        _ready(),
        *(row for pause in _pauses(contract) for row in _limited(pause)),
        *(_limited_together() if shared_limits else ()),
        *(over_grpc(refusal, DOMAIN, GRPC) for refusal in (*COMMON, NO_SUCH_METHOD)),
        *(_over_rest(refusal) for refusal in (*COMMON, *REST_ONLY)),
    ]


def _corrected(failure: str, refusal: Refusal) -> Iterator[Config]:
    """The right status for a token's failure, for REST and for gRPC."""
    failed = _metadata(JWT, ["failure", "message"], {"string_match": {"exact": failure}})
    for row, door in ((_over_rest(refusal), REST), (over_grpc(refusal, DOMAIN), GRPC)):
        yield row | {"filter": every(failed, door), "status_code": refusal.status}


def _pauses(contract: Contract) -> list[int]:
    """How long callers may have to wait for their bucket, in whole seconds."""
    offered = (m.rate_limit for m in contract.methods if GATEWAY in m.callers and m.rate_limit)
    return sorted({limits.retry_after(limit) for limit in (limits.ADDRESS_LIMIT, *offered)})


def _limited(pause: int) -> Iterator[Config]:
    """A row for each time to wait: in a row nothing can be computed."""
    refusal = replace(LIMITED, pause=float(pause))
    when = _expression(f"response.headers['retry-after'] == '{pause}'")
    yield over_grpc(refusal, DOMAIN, when, GRPC)
    yield _over_rest(refusal, when)


def _limited_together() -> Iterator[Config]:
    """Rows for the limit that gateways share, whose window ends when `x-ratelimit-reset` says."""
    when = _expression("'x-ratelimit-reset' in response.headers")
    header = {"header": {"key": limits.RETRY_AFTER, "value": "%RESP(X-RATELIMIT-RESET)%"}}
    for row in (over_grpc(LIMITED, DOMAIN, when, GRPC), _over_rest(LIMITED, when)):
        yield row | {"headers_to_add": [*row.get("headers_to_add", ()), header]}


def _expression(text: str) -> Config:
    """Matches replies of which a CEL expression is true."""
    cel = http_filter(
        "envoy.access_loggers.extension_filters.cel",
        "envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter",
        expression=text,
    )
    return {"extension_filter": cel}


def _ready() -> Config:
    """What the strict check answers is JSON already."""
    own = _metadata(EDGE, ["refused"], {"bool_match": True})
    body = {"text_format_source": {"inline_string": _SAID}, "content_type": "application/json"}
    return {"filter": every(own, REST), "body_format_override": body}


def _over_rest(refusal: Refusal, *when: Config) -> Config:
    body = {
        "code": refusal.code,
        "message": f"{refusal.message} {refusal.more}".strip(),
        "details": list(_details(refusal)),
    }
    return {
        "filter": every(has_status(refusal.status), *when, REST),
        "body_format_override": {"json_format": body, "content_type": "application/json"},
    }


def _details(refusal: Refusal) -> Iterable[Config]:
    yield _detail("ErrorInfo", reason=refusal.reason, domain=DOMAIN, metadata={})
    if refusal.pause:
        yield _detail("RetryInfo", retryDelay=f"{refusal.pause:g}s")


def _detail(message: str, **fields: object) -> Config:
    return {"@type": f"type.googleapis.com/google.rpc.{message}", **fields}


def _metadata(namespace: str, path: list[str], value: Config) -> Config:
    matcher = {"filter": namespace, "path": [{"key": key} for key in path], "value": value}
    return {"metadata_filter": {"matcher": matcher, "match_if_key_not_found": False}}


def _header(name: str, **match: object) -> Config:
    return {"header_filter": {"header": {"name": name, **match}}}


_TRANSCODED = _header("x-envoy-original-path", present_match=True)
_NOT_TRANSCODED = _header("x-envoy-original-path", present_match=True, invert_match=True)
# As Envoy itself and strict.lua know gRPC: this type, or one with a suffix. gRPC-Web is not spoken here.
_GRPC_TYPE = {"safe_regex": {"regex": r"application/grpc(\+.*)?"}}
_IS_GRPC = _header("content-type", string_match=_GRPC_TYPE)
_IS_NOT_GRPC = _header("content-type", string_match=_GRPC_TYPE, invert_match=True, treat_missing_header_as_empty=True)
REST: Config = {"or_filter": {"filters": [_TRANSCODED, _IS_NOT_GRPC]}}
GRPC = every(_NOT_TRANSCODED, _IS_GRPC)
