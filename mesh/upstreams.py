"""What an Envoy calls: other workloads' sidecars, or its own service; and what it does when they fail."""

from __future__ import annotations

from mesh import envoy, hops
from mesh.certificates import client_tls, mutual
from mesh.contract import Method
from mesh.envoy import Addresses, Config


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
    return local_cluster("service", addresses.socket(workload))


def local_cluster(name: str, socket: str) -> Config:
    """A helper of this Envoy's on a socket of the same machine, which speaks gRPC."""
    return _cluster(name, {"pipe": {"path": socket}}, envoy.http2())


def remote_cluster(name: str, host: str, port: int) -> Config:
    """A helper of this Envoy's behind a TCP port, which speaks gRPC."""
    return _cluster(name, envoy.tcp(host, port), envoy.http2() | envoy.alive())


def _cluster(name: str, address: Config, protocol: Config) -> Config:
    options = envoy.typed(
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        explicit_http_config={"http2_protocol_options": protocol},
    )
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": envoy.seconds(hops.HOP_CONNECT),
        "per_connection_buffer_limit_bytes": hops.HOP_BUFFER,
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options},
        "circuit_breakers": {"thresholds": [_breaker("DEFAULT", hops.HOP_CALLS), _breaker("HIGH", hops.HOP_STREAMS)]},
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
    }


def _breaker(priority: str, calls: int) -> Config:
    return {
        "priority": priority,
        "max_connections": hops.HOP_CONNECTIONS,
        "max_pending_requests": calls,
        "max_requests": calls,
        "retry_budget": {"budget_percent": {"value": hops.RETRY_BUDGET}, "min_retry_concurrency": hops.RETRIES_FREE},
    }


def _outliers() -> Config:
    return {
        "split_external_local_origin_errors": True,
        "consecutive_local_origin_failure": hops.EJECT_AFTER,
        "consecutive_gateway_failure": hops.EJECT_AFTER,
        "enforcing_consecutive_gateway_failure": 100,
        # An INTERNAL is the service's own fault, on every replica alike.
        "enforcing_consecutive_5xx": 0,
        "enforcing_success_rate": 0,
        "enforcing_local_origin_success_rate": 0,
        "interval": envoy.seconds(hops.EJECT_LOOK),
        "base_ejection_time": envoy.seconds(hops.EJECTED),
        "max_ejection_time": envoy.seconds(hops.EJECTED_LONGEST),
        "max_ejection_percent": hops.MAX_EJECTED,
        "always_eject_one_host": False,
    }


RETRY_ON = "connect-failure,refused-stream,reset,unavailable"
"""Failures after which a call that is safe to repeat is repeated."""


def bulkhead(method: Method) -> Config:
    """What a route of the method says so that streams, which stay, take no call's place nor its connection."""
    return {"priority": "HIGH"} if method.server_streaming else {}


def retry(method: Method) -> Config:
    """The retry policy of a route: nothing unless the contract says that repeating is safe."""
    if not method.retry_safe:
        return {}
    policy = {
        "retry_on": RETRY_ON,
        "num_retries": hops.RETRIES,
        "retry_back_off": {
            "base_interval": envoy.seconds(hops.RETRY_PAUSE),
            "max_interval": envoy.seconds(10 * hops.RETRY_PAUSE),
        },
        "retry_host_predicate": [
            envoy.http_filter(
                "envoy.retry_host_predicates.previous_hosts",
                "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate",
            )
        ],
        "host_selection_retry_max_attempts": 3,
    }
    return {"retry_policy": policy}
