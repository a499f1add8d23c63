"""Rate limits at the edge: per client address before the token is looked at, per principal and method after.

Token buckets in the gateway itself, and therefore per gateway process; gateway/shared_limits.py adds up.
"""

from __future__ import annotations

import math

from mesh import envoy, hops
from mesh.contract import NONE, OPTIONAL, REQUIRED, Method, RateLimit
from mesh.envoy import Config

BY_ADDRESS = "tulle.limit.address"
BY_PRINCIPAL = "tulle.limit.principal"
JWT = "envoy.filters.http.jwt_authn"
RETRY_AFTER = "retry-after"

ADDRESS_LIMIT = RateLimit(requests=hops.ADDRESS_REQUESTS, per=60.0)
"""Of one address; of IPv6, one /64."""


def idle(name: str) -> Config:
    """The filter itself, which limits nothing until a route or host says what."""
    return envoy.http_filter(name, _MESSAGE, stat_prefix=name.replace(".", "_"))


def by_address() -> Config:
    """The limit of each client address."""
    return _limit("address", ADDRESS_LIMIT, [_ADDRESS])


def by_principal(method: Method) -> Config:
    """The method's own limit: for each end user, or for each address where there is none."""
    assert method.rate_limit is not None, method.path
    # IETF draft 3: how much is left, for clients that pace themselves.
    return _limit("caller", method.rate_limit, principals(method)) | {"enable_x_ratelimit_headers": "DRAFT_VERSION_03"}


def principals(method: Method) -> list[list[Config]]:
    """The keys by which a call counts, as Envoy's actions: the first list that all apply decides."""
    by_end_user = {NONE: [_ADDRESS], OPTIONAL: [_USER, [*_NOBODY, *_ADDRESS]], REQUIRED: [_USER]}
    return by_end_user[method.end_user]


def retry_after(limit: RateLimit) -> int:
    """Whole seconds until an empty bucket holds a token again."""
    return math.ceil(limit.per / limit.requests)


KEYS = {"masked_remote_address": "masked_remote_address", "metadata": "user", "header_value_match": "token"}
"""What an action's entry is called, by the action."""
_MESSAGE = "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit"
_ADDRESS: list[Config] = [{"masked_remote_address": {"v4_prefix_mask_len": 32, "v6_prefix_mask_len": 64}}]
_USER: list[Config] = [
    {
        "metadata": {
            "descriptor_key": "user",
            "metadata_key": {"key": JWT, "path": [{"key": "payload"}, {"key": "sub"}]},
            "source": "DYNAMIC",
        }
    }
]
_NOBODY: list[Config] = [
    {
        "header_value_match": {
            "descriptor_key": "token",
            "descriptor_value": "none",
            "expect_match": False,
            "headers": [{"name": "authorization", "present_match": True}],
        }
    }
]
_ALWAYS = {"default_value": {"numerator": 100, "denominator": "HUNDRED"}}


def _limit(name: str, limit: RateLimit, keys: list[list[Config]]) -> Config:
    bucket = {
        "max_tokens": limit.requests,
        "tokens_per_fill": limit.requests,
        "fill_interval": envoy.seconds(limit.per),
    }
    return envoy.typed(
        _MESSAGE,
        stat_prefix=name,
        # Whatever has no key of its own shares one bucket: never unlimited.
        token_bucket=bucket,
        always_consume_default_token_bucket=False,
        filter_enabled=_ALWAYS,
        filter_enforced=_ALWAYS,
        rate_limits=[{"actions": actions} for actions in keys],
        descriptors=[{"entries": _entries(actions), "token_bucket": bucket} for actions in keys],
        max_dynamic_descriptors=hops.BUCKETS,
        rate_limited_as_resource_exhausted=True,
        response_headers_to_add=[{"header": {"key": RETRY_AFTER, "value": str(retry_after(limit))}}],
    )


def _entries(actions: list[Config]) -> list[Config]:
    """One bucket for each value of a key: an entry without a value matches any."""
    return [{"key": KEYS[next(iter(action))]} for action in actions]
