"""What every Envoy of the platform shares: addresses, limits, and the pieces of a configuration.

A configuration is a plain dictionary made by pure functions and dumped as YAML. The sidecars are
in mesh/sidecar.py, the edge in gateway/config.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from mesh import hops
from services import topology

type_url = "type.googleapis.com/{}".format

Config = dict[str, Any]

SERVER = "tulle"
"""What every Envoy calls itself in responses."""


@dataclass(frozen=True)
class Addresses:
    """Where everything is. The defaults are those of the committed files.

    `ports`: of the sidecars' inbound listeners. `descriptor_set`: the file codegen/gen/contract.binpb.
    `trusted_hops`: proxies before the gateway whose x-forwarded-for is believed. `cors_origins`: whose pages
    may call the gateway from a browser. `limiter`: the socket of the rate-limit service, if limits are shared.
    """

    run_dir: str = "/run/tulle"
    certs_dir: str = "/var/lib/tulle/certs"
    secrets_dir: str = "/var/lib/tulle/secrets"
    envoy_dir: str = "/var/lib/tulle/envoy"
    descriptor_set: str = "codegen/gen/contract.binpb"
    host: str = "127.0.0.1"
    ports: Mapping[str, int] = field(default_factory=lambda: default_ports())
    http_port: int = 8080
    https_port: int = 8443
    public_url: str = "http://127.0.0.1:8080"
    trusted_hops: int = 0
    cors_origins: tuple[str, ...] = ()
    limiter: str = ""
    trace_ratio: float = 0.01

    def socket(self, workload: str) -> str:
        """The socket on which the workload's service listens."""
        return f"{self.run_dir}/{workload}.sock"

    def out_socket(self, workload: str) -> str:
        """The socket on which its sidecar takes its calls to others."""
        return f"{self.run_dir}/{workload}.out.sock"

    def admin_socket(self, workload: str) -> str:
        """The socket of its Envoy's admin interface."""
        return f"{self.run_dir}/{workload}.admin.sock"


def default_ports() -> Mapping[str, int]:
    """A port for each sidecar, counted from 15001 in the order of the topology."""
    served = [workload.name for workload in topology.WORKLOADS if workload.serves]
    return {name: 15001 + index for index, name in enumerate(served)}


def dump(config: Config) -> str:
    """The configuration as YAML, with long texts as blocks and without aliases."""
    return yaml.dump(config, Dumper=_Dumper, sort_keys=False, width=120, allow_unicode=True)


def dump_all(configs: Iterable[Config]) -> str:
    """Several, as one stream of YAML documents."""
    return "---\n".join(map(dump, configs))


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: object) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def typed(message: str, **fields: Any) -> Config:
    """A configuration of an extension."""
    return {"@type": type_url(message), **fields}


def http_filter(name: str, message: str, **fields: Any) -> Config:
    """An HTTP filter."""
    return {"name": name, "typed_config": typed(message, **fields)}


ROUTER = http_filter(
    "envoy.filters.http.router", "envoy.extensions.filters.http.router.v3.Router", suppress_envoy_headers=True
)


def seconds(value: float) -> str:
    """A duration as Envoy reads it."""
    return f"{value:.3f}".rstrip("0").rstrip(".") + "s"


def pipe(path: str) -> Config:
    """The address of a Unix socket that only its owner may open."""
    return {"pipe": {"path": path, "mode": 0o600}}


def tcp(host: str, port: int) -> Config:
    """The address of a TCP port."""
    return {"socket_address": {"address": host, "port_value": port}}


def bootstrap(
    workload: str, addresses: Addresses, listeners: list[Config], clusters: list[Config], heap_mb: int, connections: int
) -> Config:
    """A whole configuration. `heap_mb`, `connections`: what this process may hold before it refuses more."""
    return {
        "node": {"id": workload, "cluster": "tulle"},
        "admin": {"address": pipe(addresses.admin_socket(workload))},
        "layered_runtime": {"layers": [{"name": "static", "static_layer": RUNTIME}]},
        # Memory that the start needed goes back.
        "memory_allocator_manager": {"bytes_to_release": 16 * 1024 * 1024, "memory_release_interval": "1s"},
        "overload_manager": _overload(heap_mb, connections),
        "static_resources": {"listeners": listeners, "clusters": clusters},
    }


RUNTIME: Config = {
    # A gRPC client takes UNAVAILABLE for "try again"; a timeout is not.
    "envoy.reloadable_features.grpc_timeout_returns_deadline_exceeded": True,
}


def _overload(heap_mb: int, connections: int) -> Config:
    heap, count = "envoy.resource_monitors.fixed_heap", "envoy.resource_monitors.global_downstream_max_connections"
    package = "envoy.extensions.resource_monitors"
    fixed = typed(f"{package}.fixed_heap.v3.FixedHeapConfig", max_heap_size_bytes=heap_mb * 1024 * 1024)
    most = typed(
        f"{package}.downstream_connections.v3.DownstreamConnectionsConfig",
        max_active_downstream_connections=connections,
    )
    actions = {
        "envoy.overload_actions.shrink_heap": 0.85,
        "envoy.overload_actions.disable_http_keepalive": 0.9,
        "envoy.overload_actions.stop_accepting_requests": 0.95,
        "envoy.overload_actions.stop_accepting_connections": 0.98,
    }
    return {
        "refresh_interval": "0.25s",
        "resource_monitors": [{"name": heap, "typed_config": fixed}, {"name": count, "typed_config": most}],
        "actions": [
            {"name": name, "triggers": [{"name": heap, "threshold": {"value": value}}]}
            for name, value in actions.items()
        ],
    }


def http2() -> Config:
    """HTTP/2 with the limits of Envoy's edge guide."""
    return {
        "max_concurrent_streams": hops.STREAMS,
        "initial_stream_window_size": hops.STREAM_WINDOW,
        "initial_connection_window_size": hops.CONNECTION_WINDOW,
    }


def alive() -> Config:
    """HTTP/2 that finds out when the other side is gone without a word."""
    return {
        "connection_keepalive": {"interval": seconds(hops.HOP_KEEPALIVE), "timeout": seconds(hops.HOP_KEEPALIVE_WAIT)}
    }


def forget(*prefixes: str) -> Config:
    """Takes headers with these prefixes from a request before anything looks at it."""
    package = "envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation"
    mutations = [{"remove_on_match": {"key_matcher": {"prefix": prefix, "ignore_case": True}}} for prefix in prefixes]
    return http_filter("envoy.http.early_header_mutation.header_mutation", package, mutations=mutations)


def manager(name: str, filters: list[Config], routes: Config, **fields: Any) -> Config:
    """The network filter that speaks HTTP. `routes`: `route_config` or `rds`."""
    config = typed(
        "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix=name,
        http_filters=[*filters, ROUTER],
        max_request_headers_kb=hops.HEADERS_KIB,
        server_name=SERVER,
        **routes,
        **fields,
    )
    return {"name": "envoy.filters.network.http_connection_manager", "typed_config": config}


def mesh_manager(name: str, filters: list[Config], route_config: Config, **fields: Any) -> Config:
    """`manager` for callers inside the platform: gRPC over HTTP/2, whose Envoy headers are not ours to obey."""
    return manager(
        name,
        filters,
        {"route_config": route_config},
        codec_type="HTTP2",
        http2_protocol_options=http2() | alive(),
        skip_xff_append=True,
        preserve_external_request_id=True,
        generate_request_id=False,
        normalize_path=True,
        path_with_escaped_slashes_action="REJECT_REQUEST",
        common_http_protocol_options={"max_connection_duration": seconds(hops.CONNECTION_LIFE)},
        request_headers_timeout=seconds(hops.HEADERS_WITHIN),
        # A stream's life is its route's timeout.
        stream_idle_timeout="0s",
        access_log=[failures_log(name)],
        early_header_mutation_extensions=[forget("x-envoy-")],
        **fields,
    )


def failures_log(name: str) -> Config:
    """One JSON line for each call that failed or was refused: the service itself logs all that reached it."""
    failed = {"grpc_status_filter": {"statuses": ["OK"], "exclude": True}}
    flagged: Config = {"response_flag_filter": {}}
    line = {
        "time": "%START_TIME%",
        "log": name,
        "method": "%REQ(:PATH)%",
        "grpc_status": "%GRPC_STATUS%",
        "code": "%RESPONSE_CODE%",
        "details": "%RESPONSE_CODE_DETAILS%",
        "flags": "%RESPONSE_FLAGS%",
        "milliseconds": "%DURATION%",
        "peer": "%DOWNSTREAM_PEER_URI_SAN%",
        "request_id": "%REQ(X-REQUEST-ID)%",
        "traceparent": "%REQ(TRACEPARENT)%",
    }
    return stdout_log(line) | {"filter": {"or_filter": {"filters": [failed, flagged]}}}


def stdout_log(line: Config) -> Config:
    """An access log of JSON lines on standard output."""
    package = "envoy.extensions.access_loggers.stream.v3.StdoutAccessLog"
    return http_filter(
        "envoy.access_loggers.stdout", package, log_format={"json_format": line, "omit_empty_values": True}
    )
