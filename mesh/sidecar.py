"""The Envoy beside each workload: who may come in, and how the workload calls others.

Inbound takes mutual TLS from the workloads that some method allows, checks caller × method, says
who called, and hands the call to the service's socket. Outbound takes the service's own calls on a
socket of its own and sends each to the workload that serves it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from mesh import certificates, envoy, hops, refusals, upstreams
from mesh.contract import Contract, Method
from mesh.envoy import Addresses, Config
from mesh.identity import ADDRESS, SECRET
from services import topology
from services.topology import OPERATOR

HEALTH = ("/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch")
REFLECTION = (
    # Tools ask for v1 first and take UNIMPLEMENTED, not a refusal, for "ask for v1alpha".
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
)
DOMAIN = "mesh.tulle"
KEYS = "tulle.auth.v1.KeysService"
"""The one service that a sidecar also offers as JSON: Envoys fetch key sets by plain GET."""


def sidecar(workload: str, contract: Contract, addresses: Addresses) -> Config:
    """The whole configuration of the workload's sidecar."""
    entry = contract.workload(workload)
    listeners = [_inbound(workload, contract, addresses)]
    clusters = [upstreams.service_cluster(workload, addresses)]
    if entry.calls:
        listeners.append(_outbound(workload, contract, addresses))
        clusters += [upstreams.workload_cluster(workload, callee, addresses) for callee in entry.calls]
    config = envoy.bootstrap(workload, addresses, listeners, clusters, hops.SIDECAR_HEAP, hops.SIDECAR_CONNECTIONS)
    config["static_resources"]["secrets"] = [credential(workload, addresses)]
    return config


def served(workload: str, contract: Contract) -> tuple[Method, ...]:
    """The methods of the workload's services."""
    names = contract.workload(workload).serves
    return tuple(method for name in names for method in contract.services[name].methods)


def allowed(workload: str, contract: Contract) -> Mapping[str, tuple[str, ...]]:
    """For each workload that may call `workload`: the paths that it may call.

    Who may call anything may also ask for health; the operator, who stands in for a person, may look around.
    """
    methods = served(workload, contract)
    callers = sorted({caller for method in methods for caller in method.callers} | {OPERATOR})
    extra = {OPERATOR: HEALTH + REFLECTION}
    return {
        caller: tuple(m.path for m in methods if caller in m.callers) + extra.get(caller, HEALTH) for caller in callers
    }


def _inbound(workload: str, contract: Contract, addresses: Addresses) -> Config:
    paths = allowed(workload, contract)
    filters = [_rbac(paths), proof()]
    if KEYS in contract.workload(workload).serves:
        filters.insert(0, transcoder(addresses, (KEYS,)))
    manager = envoy.mesh_manager(
        f"{workload}.in",
        filters,
        _table("inbound", inbound_routes(workload, contract, "service")),
        local_reply_config={"mappers": refusals.inside(DOMAIN)},
        forward_client_cert_details="SANITIZE_SET",
        set_current_client_cert_details={"uri": True},
    )
    tls = certificates.server_tls(certificates.mutual(workload, addresses, paths), require_client_certificate=True)
    address = envoy.tcp(addresses.host, addresses.ports[workload])
    return _listener("inbound", address, {"filters": [manager], "transport_socket": tls})


def _listener(name: str, address: Config, chain: Config) -> Config:
    return {
        "name": name,
        "address": address,
        "per_connection_buffer_limit_bytes": hops.HOP_BUFFER,
        "filter_chains": [chain | {"transport_socket_connect_timeout": envoy.seconds(hops.HOP_HANDSHAKE)}],
    }


def _rbac(paths: Mapping[str, tuple[str, ...]]) -> Config:
    policies = {caller: _policy(caller, allowed) for caller, allowed in paths.items()}
    return envoy.http_filter(
        "envoy.filters.http.rbac",
        "envoy.extensions.filters.http.rbac.v3.RBAC",
        rules={"action": "ALLOW", "policies": policies},
    )


def _policy(caller: str, paths: Iterable[str]) -> Config:
    rules = [{"url_path": {"path": {"exact": path}}} for path in paths]
    principal = {"authenticated": {"principal_name": {"exact": topology.spiffe_id(caller)}}}
    return {"permissions": [{"or_rules": {"rules": rules}}], "principals": [principal]}


def proof(source: Config | None = None) -> Config:
    """Adds the secret that only this sidecar and its service know; a header of that name that came in is replaced.

    `source`: where Envoy finds the secret, if not in its own configuration (`credential`).
    """
    generic = envoy.typed(
        "envoy.extensions.http.injected_credentials.generic.v3.Generic",
        credential={"name": "sidecar"} | ({"sds_config": source} if source else {}),
        header=SECRET,
    )
    return envoy.http_filter(
        "envoy.filters.http.credential_injector",
        "envoy.extensions.filters.http.credential_injector.v3.CredentialInjector",
        overwrite=True,
        credential={"name": "envoy.http.injected_credentials.generic", "typed_config": generic},
    )


def credential(workload: str, addresses: Addresses) -> Config:
    """The secret that `proof` adds, out of the file where the service finds it too."""
    path = f"{addresses.secrets_dir}/{workload}/sidecar"
    return {"name": "sidecar", "generic_secret": {"secret": {"filename": path}}}


def transcoder(addresses: Addresses, services: Iterable[str]) -> Config:
    """REST for `services`, as strict as Envoy can be. Stands before everything that decides."""
    return envoy.http_filter(
        "envoy.filters.http.grpc_json_transcoder",
        "envoy.extensions.filters.http.grpc_json_transcoder.v3.GrpcJsonTranscoder",
        proto_descriptor=addresses.descriptor_set,
        services=list(services),
        convert_grpc_status=True,
        print_options={"always_print_primitive_fields": True, "stream_sse_style_delimited": True},
        # Forms and most clients write a space as `+`; without this it would arrive as a plus.
        query_param_unescape_plus=True,
        request_validation_options={"reject_unknown_method": True, "reject_unknown_query_parameters": True},
        max_request_body_size=hops.MAX_REQUEST,
        max_response_body_size=hops.MAX_RESPONSE,
    )


def inbound_routes(workload: str, contract: Contract, cluster: str) -> list[Config]:
    """What its sidecar passes on to the workload's service, which is `cluster`."""
    routes = [route for method in served(workload, contract) for route in _method_routes(method, cluster)]
    return routes + [_route(path, hops.WATCH_LIFE, cluster, drop=(ADDRESS,)) for path in HEALTH + REFLECTION]


def _method_routes(method: Method, cluster: str) -> list[Config]:
    """The gateway knows the client's address; what anybody else says about it is dropped."""
    timeout = method.deadline + hops.INBOUND_MARGIN
    others = _route(method.path, timeout, cluster, drop=(ADDRESS,))
    edge = _route(method.path, timeout, cluster)
    for route in (edge, others):
        route["route"] |= upstreams.bulkhead(method)
    if topology.GATEWAY not in method.callers:
        return [others]
    edge["match"]["headers"] = [_from(topology.GATEWAY)]
    return [edge, others]


def _from(caller: str) -> Config:
    """Matches calls of one workload. XFCC is this Envoy's own word here: SANITIZE_SET replaced the caller's."""
    uri = re.escape(topology.spiffe_id(caller))
    regex = f"[^,]*;URI={uri}"
    return {"name": "x-forwarded-client-cert", "string_match": {"safe_regex": {"regex": regex}}}


def _outbound(workload: str, contract: Contract, addresses: Addresses) -> Config:
    callees = contract.workload(workload).calls
    methods = [(callee, method) for callee in callees for method in served(callee, contract)]
    routes = [_call(callee, method) for callee, method in methods]
    manager = envoy.mesh_manager(
        f"{workload}.out", [], _table("outbound", routes), local_reply_config={"mappers": refusals.inside(DOMAIN)}
    )
    return _listener("outbound", envoy.pipe(addresses.out_socket(workload)), {"filters": [manager]})


def _call(callee: str, method: Method) -> Config:
    route = _route(method.path, method.deadline + hops.OUTBOUND_MARGIN, callee)
    route["route"] |= upstreams.retry(method) | upstreams.bulkhead(method)
    return route


def _route(path: str, timeout: float, cluster: str, drop: tuple[str, ...] = ()) -> Config:
    headers = {"request_headers_to_remove": list(drop)} if drop else {}
    return {"match": {"path": path}, "route": {"cluster": cluster, "timeout": envoy.seconds(timeout)}, **headers}


def _table(name: str, routes: list[Config]) -> Config:
    return {
        "name": name,
        "validate_clusters": True,
        "virtual_hosts": [{"name": name, "domains": ["*"], "routes": routes}],
    }
