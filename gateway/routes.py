"""The edge's route table: one row for each method that the gateway may call, with all of its policy.

It is a file of its own beside the gateway's configuration: the plain and the TLS listener share
it, and with it each bucket of its rate limits.
"""

from __future__ import annotations

from gateway import cors, limits, shared_limits
from mesh import envoy, hops, upstreams
from mesh.contract import NONE, OPTIONAL, REQUIRED, Contract, Method
from mesh.envoy import Addresses, Config
from mesh.identity import ADDRESS
from mesh.sidecar import KEYS
from services.topology import GATEWAY

TABLE = "edge"


def offered(contract: Contract) -> tuple[Method, ...]:
    """The methods that the contract opens to the outside."""
    return tuple(method for method in contract.methods if GATEWAY in method.callers)


def services(contract: Contract) -> tuple[str, ...]:
    """The services with at least one such method, by their full names."""
    return tuple(sorted({method.service for method in offered(contract)}))


def table(contract: Contract, addresses: Addresses) -> Config:
    """The route table as Envoy reads it from a file."""
    configuration = envoy.typed("envoy.config.route.v3.RouteConfiguration", **_table(contract, addresses))
    return {"resources": [configuration]}


def _table(contract: Contract, addresses: Addresses) -> Config:
    host = {
        "name": TABLE,
        "domains": ["*"],
        "routes": [*(_route(method, contract, addresses) for method in offered(contract)), _REST],
        "typed_per_filter_config": {
            limits.BY_ADDRESS: limits.by_address(),
            **cors.policy(contract, addresses.cors_origins),
        },
    }
    return {
        "name": TABLE,
        "virtual_hosts": [host],
        "request_headers_to_add": [_header(ADDRESS, "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%")],
        # The client's address travels in the header above, for the services alone.
        "request_headers_to_remove": ["x-forwarded-for"],
        "response_headers_to_add": [_header("x-content-type-options", "nosniff")],
    }


# A REST request is here until it is transcoded, with as much of its body as may be held for checking it.
# There is no such cluster: Envoy ignores the limit in a direct response.
_REST: Config = {
    "name": "rest",
    "match": {"prefix": "/"},
    "route": {"cluster": "none", "cluster_not_found_response_code": "NOT_FOUND"},
    "request_body_buffer_limit": hops.MAX_REQUEST,
}


def _route(method: Method, contract: Contract, addresses: Addresses) -> Config:
    action = {
        "cluster": contract.owner(method.service).name,
        "timeout": envoy.seconds(method.deadline + hops.EDGE_MARGIN),
        **upstreams.retry(method),
        **upstreams.bulkhead(method),
    }
    route = {
        "name": method.path,
        "match": {"path": method.path, "grpc": {}},
        "route": action,
        "response_headers_to_add": [_header("cache-control", _caching(method))],
        "typed_per_filter_config": _policy(method, addresses),
    }
    if method.end_user == NONE:
        route["request_headers_to_remove"] = ["authorization"]
    return route


def _caching(method: Method) -> str:
    return f"public, max-age={hops.JWKS_CACHE:.0f}" if method.service == KEYS else "no-store"


def _policy(method: Method, addresses: Addresses) -> Config:
    policy = {limits.BY_PRINCIPAL: limits.by_principal(method), **shared_limits.by_principal(method, addresses)}
    if method.end_user != NONE:
        package = "envoy.extensions.filters.http.jwt_authn.v3.PerRouteConfig"
        policy["envoy.filters.http.jwt_authn"] = envoy.typed(package, requirement_name=method.end_user)
    return policy


def _header(name: str, value: str) -> Config:
    return {"header": {"key": name, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}


def requirements() -> Config:
    """What the end-user part of a method's policy asks of the token."""
    missing = {"requires_any": {"requirements": [{"provider_name": "auth"}, {"allow_missing": {}}]}}
    return {REQUIRED: {"provider_name": "auth"}, OPTIONAL: missing}
