"""The gateway: one Envoy at the edge, for REST and gRPC, plain on loopback and with TLS.

The order of its filters is policy. First the check that a request says nothing that would be
dropped, then the transcoder, which makes a gRPC call of it; then everything that decides, so that
REST and gRPC meet the same rules, all keyed on `/package.Service/Method`.
"""

from __future__ import annotations

from gateway import cors, fields, limits, replies, routes, shared_limits
from gateway.limits import JWT
from mesh import certificates, envoy, hops, upstreams
from mesh.contract import NONE, OPTIONAL, REQUIRED, Contract, Method
from mesh.envoy import Addresses, Config
from mesh.limits import LEEWAY, TOKEN_LIFE
from mesh.sidecar import transcoder
from mesh.tokens import AUDIENCE
from services.topology import GATEWAY

EDGE = "edge"
"""Name of the certificate of the TLS listener."""
AUTH = "auth"
TRACES = "traces"
"""The collector of the gateway's own spans. It has no address yet, so they are dropped: the services record theirs."""


def gateway(contract: Contract, addresses: Addresses) -> Config:
    """The whole configuration of the gateway, but for the route table."""
    plain = {"filters": [_manager("http", contract, addresses)]}
    secure = {"filters": [_manager("https", contract, addresses)], "transport_socket": _tls(addresses)}
    listeners = [
        _listener("http", addresses.host, addresses.http_port, plain),
        _listener("https", addresses.host, addresses.https_port, secure),
    ]
    callees = contract.workload(GATEWAY).calls
    clusters = [upstreams.workload_cluster(GATEWAY, callee, addresses) for callee in callees]
    clusters += helpers(addresses)
    return envoy.bootstrap(GATEWAY, addresses, listeners, clusters, hops.EDGE_HEAP, hops.EDGE_CONNECTIONS)


def helpers(addresses: Addresses) -> list[Config]:
    """The clusters that are no workloads: who adds up limits, and where the gateway's own spans go."""
    collector = {"name": TRACES, "type": "STATIC", "load_assignment": {"cluster_name": TRACES}}
    return [*shared_limits.clusters(addresses), collector]


def _tls(addresses: Addresses) -> Config:
    return certificates.server_tls(certificates.identity(EDGE, addresses, "h2", "http/1.1"))


def _listener(name: str, host: str, port: int, chain: Config) -> Config:
    return {
        "name": name,
        "address": envoy.tcp(host, port),
        **buffers(),
        "filter_chains": [chain | handshake()],
    }


def buffers() -> Config:
    """How much a listener holds for one connection."""
    return {"per_connection_buffer_limit_bytes": hops.HOP_BUFFER}


def handshake() -> Config:
    """How soon a client must have shaken hands."""
    return {"transport_socket_connect_timeout": envoy.seconds(hops.HOP_HANDSHAKE)}


def _manager(name: str, contract: Contract, addresses: Addresses) -> Config:
    table = {"rds": {"route_config_name": routes.TABLE, "config_source": _routes_file(addresses)}}
    return envoy.manager(name, _filters(contract, addresses), table, **edge(contract, addresses))


def routes_path(addresses: Addresses) -> str:
    """The file of the route table."""
    return f"{addresses.envoy_dir}/{GATEWAY}.routes.yaml"


def _routes_file(addresses: Addresses) -> Config:
    return {"path_config_source": {"path": routes_path(addresses)}}


def edge(contract: Contract, addresses: Addresses) -> Config:
    """What an edge needs beyond Envoy's defaults (Envoy's guide for edge proxies)."""
    return {
        "codec_type": "AUTO",
        "use_remote_address": True,
        "xff_num_trusted_hops": addresses.trusted_hops,
        # Nobody out there is internal, whatever their address.
        "internal_address_config": {"cidr_ranges": [{"address_prefix": "255.255.255.255", "prefix_len": 32}]},
        "normalize_path": True,
        "merge_slashes": True,
        "path_with_escaped_slashes_action": "REJECT_REQUEST",
        "common_http_protocol_options": {
            "headers_with_underscores_action": "REJECT_REQUEST",
            "max_headers_count": hops.HEADERS,
            "idle_timeout": envoy.seconds(hops.CLIENT_IDLE),
        },
        "http2_protocol_options": envoy.http2() | envoy.alive(),
        "request_headers_timeout": envoy.seconds(hops.HEADERS_WITHIN),
        "request_timeout": envoy.seconds(hops.REQUEST_WITHIN),
        "stream_idle_timeout": envoy.seconds(hops.STREAM_IDLE),
        "forward_client_cert_details": "SANITIZE",
        "generate_request_id": True,
        "preserve_external_request_id": True,
        "always_set_request_id_in_response": True,
        "early_header_mutation_extensions": [envoy.forget("x-envoy-", "x-tulle-", "x-forwarded-client-cert")],
        "local_reply_config": {"mappers": replies.mappers(contract, shared_limits=bool(addresses.limiter))},
        "tracing": _tracing(addresses),
        "access_log": [_access_log(rest=True), _access_log(rest=False)],
    }


def _tracing(addresses: Addresses) -> Config:
    """Keeps or begins the W3C trace of a request, and decides whether a new one is recorded."""
    percent = {"value": addresses.trace_ratio * 100}
    exporter = {"envoy_grpc": {"cluster_name": TRACES}, "timeout": "1s"}
    config = envoy.typed("envoy.config.trace.v3.OpenTelemetryConfig", service_name=GATEWAY, grpc_service=exporter)
    return {
        "random_sampling": percent,
        "client_sampling": {"value": 0.0},
        "provider": {"name": "envoy.tracers.opentelemetry", "typed_config": config},
    }


def _access_log(*, rest: bool) -> Config:
    """One line for each request; for REST Envoy would make a gRPC status up from the code."""
    status = {} if rest else {"grpc_status": "%GRPC_STATUS_NUMBER%"}
    door = replies.REST if rest else replies.GRPC
    log = envoy.stdout_log(
        {
            "time": "%START_TIME%",
            "log": "edge",
            "method": "%REQ(X-ENVOY-ORIGINAL-METHOD?:METHOD)%",
            "path": "%PATH(NQ:ORIG_OR_PATH)%",
            "rpc": "%ROUTE_NAME%",
            "protocol": "%PROTOCOL%",
            "code": "%RESPONSE_CODE%",
            **status,
            "details": "%RESPONSE_CODE_DETAILS%",
            "flags": "%RESPONSE_FLAGS%",
            "milliseconds": "%DURATION%",
            "received": "%BYTES_RECEIVED%",
            "sent": "%BYTES_SENT%",
            "address": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
            "agent": "%REQ(USER-AGENT):100%",
            "user": f"%DYNAMIC_METADATA({JWT}:payload:sub)%",
            "request_id": "%REQ(X-REQUEST-ID)%",
            "trace_id": "%TRACE_ID%",
        }
    )
    return log | {"filter": door}


def _filters(contract: Contract, addresses: Addresses) -> list[Config]:
    return [*before(contract, addresses), tokens(addresses, AUTH), _rbac(contract), *after(addresses)]


def before(contract: Contract, addresses: Addresses) -> list[Config]:
    """The filters before those that look at tokens."""
    return [
        *cors.filters(addresses.cors_origins),
        _strict(contract),
        transcoder(addresses, routes.services(contract)),
        limits.idle(limits.BY_ADDRESS),
    ]


def after(addresses: Addresses) -> list[Config]:
    """The filters that need to know whose call it is."""
    return [limits.idle(limits.BY_PRINCIPAL), *shared_limits.filters(addresses)]


def _strict(contract: Contract) -> Config:
    return envoy.http_filter(
        "envoy.filters.http.lua",
        "envoy.extensions.filters.http.lua.v3.Lua",
        default_source_code={"inline_string": fields.script(contract)},
    )


def tokens(addresses: Addresses, keys: str) -> Config:
    """What knows a good token. `keys`: the cluster of the workload that has the keys."""
    provider = {
        "issuer": addresses.public_url,
        "audiences": [AUDIENCE],
        "clock_skew_seconds": LEEWAY,
        "require_expiration": True,
        "max_lifetime": envoy.seconds(TOKEN_LIFE + LEEWAY),
        "remote_jwks": _keys(keys),
        # Only the header: a token in a query string ends up in logs.
        "from_headers": [{"name": "authorization", "value_prefix": "Bearer "}],
        "forward": True,
        "payload_in_metadata": "payload",
        "failed_status_in_metadata": "failure",
        "jwt_cache_config": {"jwt_cache_size": hops.EDGE_TOKENS},
    }
    return envoy.http_filter(
        JWT,
        "envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
        providers={AUTH: provider},
        requirement_map=routes.requirements(),
    )


def _keys(cluster: str) -> Config:
    """Keys come from auth's sidecar, not through the edge, and the last good ones stay while it is away."""
    return {
        "http_uri": {
            "uri": f"https://{AUTH}/.well-known/jwks.json",
            "cluster": cluster,
            "timeout": envoy.seconds(hops.JWKS_WITHIN),
        },
        "cache_duration": envoy.seconds(hops.JWKS_CACHE),
        "async_fetch": {"fast_listener": False, "failed_refetch_duration": envoy.seconds(hops.JWKS_PAUSE)},
    }


def _rbac(contract: Contract) -> Config:
    """Only methods that the contract opens, and only for whom: what JWT and routes decided, once more."""
    rules: dict[str, list[Method]] = {}
    for method in routes.offered(contract):
        rules.setdefault(_whom(method), []).append(method)
    policies = {name: _policy(methods) for name, methods in sorted(rules.items())}
    return envoy.http_filter(
        "envoy.filters.http.rbac",
        "envoy.extensions.filters.http.rbac.v3.RBAC",
        rules={"action": "ALLOW", "policies": policies},
    )


def _whom(method: Method) -> str:
    """Whom a method is for, in words."""
    people = {NONE: "anybody", OPTIONAL: "anybody or user", REQUIRED: "user"}[method.end_user]
    named = ",".join(sorted(method.roles)) or people
    return f"{named}, key with {method.scope}" if method.scope else named


def _policy(methods: list[Method]) -> Config:
    paths = [{"url_path": {"path": {"exact": method.path}}} for method in methods]
    return {"permissions": [{"or_rules": {"rules": paths}}], "principals": _principals(methods[0])}


def _principals(method: Method) -> list[Config]:
    if method.end_user == NONE:
        return [{"any": True}]
    return [{"and_ids": {"ids": [one, _person_or_key(method)]}} for one in _held(method)]


def _held(method: Method) -> list[Config]:
    """What an end user must hold, one of these."""
    if method.roles:
        return [_claim("roles", _lists(role)) for role in sorted(method.roles)]
    if method.end_user == REQUIRED:
        return [_claim("sub", {"string_match": {"safe_regex": {"regex": ".+"}}})]
    return [{"any": True}]


def _person_or_key(method: Method) -> Config:
    """Who has no scopes is a person, or nobody; a key has the method's, if it has one."""
    person = {"not_id": _claim("scopes", {"present_match": True})}
    return {"or_ids": {"ids": [person, _claim("scopes", _lists(method.scope))]}} if method.scope else person


def _lists(text: str) -> Config:
    return {"list_match": {"one_of": _exactly(text)}}


def _exactly(text: str) -> Config:
    return {"string_match": {"exact": text}}


def _claim(name: str, value: Config) -> Config:
    path = [{"key": "payload"}, {"key": name}]
    matcher = {"filter": JWT, "path": path, "value": value}
    return {"sourced_metadata": {"metadata_matcher": matcher, "metadata_source": "DYNAMIC"}}
