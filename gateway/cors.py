"""Which pages of other origins may call the REST door from a browser (the Fetch standard's CORS protocol).

None unless the deployment says so. Credentials travel in the `authorization` header alone, never in
cookies, so an origin gains nothing that the page does not hold itself.
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway.limits import RETRY_AFTER
from mesh import envoy, hops
from mesh.contract import Contract
from mesh.envoy import Config
from services.topology import GATEWAY

FILTER = "envoy.filters.http.cors"
_PACKAGE = "envoy.extensions.filters.http.cors.v3"
_SENT = ("authorization", "content-type", "traceparent", "x-request-id")
_SHOWN = (RETRY_AFTER, "x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset", "x-request-id")


def filters(origins: Sequence[str]) -> list[Config]:
    """The filter, which must be the first: it answers preflights, and marks every answer, refusals too."""
    return [envoy.http_filter(FILTER, f"{_PACKAGE}.Cors")] if origins else []


def policy(contract: Contract, origins: Sequence[str]) -> Config:
    """What a host tells browsers, by filter; nothing without `origins`."""
    if not origins:
        return {}
    offered = (method for method in contract.methods if GATEWAY in method.callers)
    verbs = sorted({rule.verb for method in offered for rule in method.http})
    told = envoy.typed(
        f"{_PACKAGE}.CorsPolicy",
        allow_origin_string_match=[{"exact": origin} for origin in origins],
        allow_methods=",".join(verbs),
        allow_headers=",".join(_SENT),
        expose_headers=",".join(_SHOWN),
        max_age=str(int(hops.PREFLIGHT_KEPT)),
        allow_credentials=False,
        # An origin that is not listed is told so by the absence of the headers.
        forward_not_matching_preflights=False,
    )
    return {FILTER: told}
