"""Limits that hold over all gateways together: Envoy's rate-limit service protocol, counted in Valkey.

The gateway's own bucket of gateway/limits.py stands in front. With the service or its Valkey gone, that
bucket alone decides: a limit is then per gateway, never absent. The service is envoyproxy/ratelimit,
whose windows are fixed: those of a minute begin with the minute.
"""

from __future__ import annotations

from collections.abc import Iterable

from gateway.limits import KEYS, principals
from mesh import envoy, hops, upstreams
from mesh.contract import Method
from mesh.envoy import Addresses, Config

FILTER = "envoy.filters.http.ratelimit"
DOMAIN = "tulle"
LIMITER = "limiter"
UNITS = {1.0: "second", 60.0: "minute", 3600.0: "hour", 86400.0: "day"}
"""The windows that the service knows, by their seconds."""
RESET = "x-ratelimit-reset"
"""Seconds until the window ends, as Envoy tells it (IETF draft 3)."""
_PACKAGE = "envoy.extensions.filters.http.ratelimit.v3"


def filters(addresses: Addresses) -> list[Config]:
    """The filter, which asks for what a route says; nothing where limits are not shared."""
    if not addresses.limiter:
        return []
    return [
        envoy.http_filter(
            FILTER,
            f"{_PACKAGE}.RateLimit",
            domain=DOMAIN,
            timeout=envoy.seconds(hops.LIMITER_WITHIN),
            failure_mode_deny=False,
            enable_x_ratelimit_headers="DRAFT_VERSION_03",
            rate_limited_as_resource_exhausted=True,
            disable_x_envoy_ratelimited_header=True,
            rate_limit_service={
                "transport_api_version": "V3",
                "grpc_service": {"envoy_grpc": {"cluster_name": LIMITER}},
            },
        )
    ]


def clusters(addresses: Addresses) -> list[Config]:
    """The service, on its socket."""
    return [upstreams.local_cluster(LIMITER, addresses.limiter)] if addresses.limiter else []


def by_principal(method: Method, addresses: Addresses) -> Config:
    """What the service is asked about a call, by filter: the method, and whose call it is."""
    if not addresses.limiter:
        return {}
    named = {"generic_key": {"descriptor_key": "method", "descriptor_value": method.path}}
    asked = [{"actions": [named, *actions]} for actions in principals(method)]
    return {FILTER: envoy.typed(f"{_PACKAGE}.RateLimitPerRoute", rate_limits=asked)}


def configuration(methods: Iterable[Method]) -> Config:
    """The file of the rate-limit service: the limit of each method, for each principal."""
    return {"domain": DOMAIN, "descriptors": [_descriptor(method) for method in methods]}


def _descriptor(method: Method) -> Config:
    keys = [[KEYS[next(iter(action))] for action in actions] for actions in principals(method)]
    return {"key": "method", "value": method.path, "descriptors": [_nested(names, method) for names in keys]}


def _nested(names: list[str], method: Method) -> Config:
    """One level for each key; without a value it matches any, each with a count of its own."""
    assert method.rate_limit is not None, method.path
    first, *rest = names
    if rest:
        return {"key": first, "descriptors": [_nested(rest, method)]}
    limit = {"unit": UNITS[method.rate_limit.per], "requests_per_unit": method.rate_limit.requests}
    return {"key": first, "rate_limit": limit}
