"""What an Envoy calls: other workloads' sidecars, or its own service; and what it does when they fail."""

from __future__ import annotations

from mesh import envoy
from mesh.certificates import client_tls, mutual
from mesh.contract import Method
from mesh.envoy import Addresses, Config

CONNECT_TIMEOUT = 1.0
UPSTREAM_CALLS = 512
"""Calls that one Envoy has under way to one workload; more are refused with UNAVAILABLE."""
RETRIES = 2
RETRY_BUDGET = 20.0
"""Retries in percent of the calls under way; the three that may always run keep small loads retrying."""
EJECT_AFTER = 5
MAX_EJECTED = 50
"""Percent of a workload's replicas that may be out at once: of two only one, of one none."""


def workload_cluster(caller: str, callee: str, addresses: Addresses) -> Config:
    """A workload's sidecar as `caller` reaches it: mutual TLS, retry budget, ejection."""
    tls = client_tls(mutual(caller, addresses, [callee]), callee)
    return _cluster(callee, envoy.tcp(addresses.host, addresses.ports[callee]), envoy.http2() | envoy.alive()) | {
        "transport_socket": tls,
        "outlier_detection": _outliers(),
        # Half of the replicas always stay in, so calling ejected ones is never needed.
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}},
    }


def service_cluster(workload: str, addresses: Addresses) -> Config:
    """The service itself, on its socket. Without keepalive: a socket's other end cannot vanish silently."""
    return _cluster("service", {"pipe": {"path": addresses.socket(workload)}}, envoy.http2())


def _cluster(name: str, address: Config, protocol: Config) -> Config:
    options = envoy.typed(
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        explicit_http_config={"http2_protocol_options": protocol},
    )
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": envoy.seconds(CONNECT_TIMEOUT),
        "per_connection_buffer_limit_bytes": envoy.BUFFER,
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options},
        "circuit_breakers": {"thresholds": [_breaker()]},
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
    }


def _breaker() -> Config:
    return {
        "max_connections": 64,
        "max_pending_requests": UPSTREAM_CALLS,
        "max_requests": UPSTREAM_CALLS,
        "retry_budget": {"budget_percent": {"value": RETRY_BUDGET}, "min_retry_concurrency": 3},
    }


def _outliers() -> Config:
    return {
        "split_external_local_origin_errors": True,
        "consecutive_local_origin_failure": EJECT_AFTER,
        "consecutive_gateway_failure": EJECT_AFTER,
        "enforcing_consecutive_gateway_failure": 100,
        # An INTERNAL is the service's own fault, on every replica alike.
        "enforcing_consecutive_5xx": 0,
        "enforcing_success_rate": 0,
        "enforcing_local_origin_success_rate": 0,
        "interval": "2s",
        "base_ejection_time": "5s",
        "max_ejection_time": "60s",
        "max_ejection_percent": MAX_EJECTED,
        "always_eject_one_host": False,
    }


def retry(method: Method) -> Config:
    """The retry policy of a route: nothing unless the contract says that repeating is safe."""
    if not method.retry_safe:
        return {}
    policy = {
        "retry_on": "connect-failure,refused-stream,reset,unavailable",
        "num_retries": RETRIES,
        "retry_back_off": {"base_interval": "0.025s", "max_interval": "0.25s"},
        "retry_host_predicate": [
            envoy.http_filter(
                "envoy.retry_host_predicates.previous_hosts",
                "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate",
            )
        ],
        "host_selection_retry_max_attempts": 3,
    }
    return {"retry_policy": policy}
