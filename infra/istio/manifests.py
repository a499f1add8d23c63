"""What istiod is told about the stack on one machine: where workloads are, and what their Envoys add for our services.

Who may call whom and how calls are routed is not here: those objects are a real cluster's own
(infra/deploy/istio/policies.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mesh import envoy, refusals
from mesh.contract import Contract
from mesh.envoy import Addresses, Config
from mesh.sidecar import DOMAIN, KEYS, inbound_routes, proof, transcoder
from services import topology
from services.topology import Workload

Manifest = dict[str, Any]
MANAGER, ROUTER = "envoy.filters.network.http_connection_manager", "envoy.filters.http.router"


def mesh() -> Mapping[str, Any]:
    """The mesh configuration."""
    return {
        "trustDomain": topology.TRUST_DOMAIN,
        "rootNamespace": "istio-system",
        "enablePrometheusMerge": False,
        "outboundTrafficPolicy": {"mode": "REGISTRY_ONLY"},
        # Traces are the services' own: what an Envoy adds would be spans of nobody.
        "enableTracing": False,
        "meshMTLS": {"minProtocolVersion": "TLSV1_3"},
        # Nothing is repeated unless a route says so.
        "defaultHttpRetryPolicy": {"attempts": 0},
        "defaultConfig": {
            "interceptionMode": "NONE",
            "proxyHeaders": {
                # The identity that a caller claims is replaced, not appended to.
                "forwardedClientCert": "SANITIZE_SET",
                "setCurrentClientCertDetails": {"uri": True, "subject": False, "dns": False},
                "requestId": {"disabled": True},
                "attemptCount": {"disabled": True},
            },
        },
    }


def manifests(contract: Contract, addresses: Addresses) -> list[Manifest]:
    """All objects, in an order in which they can be applied."""
    served = [workload for workload in contract.workloads if workload.serves]
    return [
        made
        for workload in served
        for made in (
            _pod(workload),
            _entry(workload, addresses),
            _sidecar(workload, addresses),
            relied_on(workload, contract, addresses, proof()),
        )
    ]


def _object(api: str, kind: str, name: str, spec: Mapping[str, Any]) -> Manifest:
    metadata = {"name": name, "namespace": topology.NAMESPACE, "labels": {"app.kubernetes.io/part-of": "tulle"}}
    return {"apiVersion": f"networking.istio.io/{api}", "kind": kind, "metadata": metadata, "spec": dict(spec)}


def _pod(workload: Workload) -> Manifest:
    """The workload as Kubernetes sees it, so that a policy that selects none is found; no node will ever run it."""
    metadata = {"name": workload.name, "namespace": topology.NAMESPACE, "labels": {"app": workload.name}}
    containers = [{"name": name, "image": f"tulle/{name}:local"} for name in (workload.name, "istio-proxy")]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": containers}}


def _entry(workload: Workload, addresses: Addresses) -> Manifest:
    """The workload under the name that it has in a cluster; an endpoint on loopback is no Service's in Kubernetes."""
    endpoint = {
        "address": addresses.host,
        "ports": {"grpc": addresses.ports[workload.name]},
        "labels": {"app": workload.name, "security.istio.io/tlsMode": "istio"},
        "serviceAccount": workload.name,
    }
    spec = {
        "hosts": [topology.host(workload.name)],
        "location": "MESH_INTERNAL",
        "resolution": "STATIC",
        "ports": [{"number": topology.PORT, "name": "grpc", "protocol": "GRPC"}],
        "subjectAltNames": [topology.spiffe_id(workload.name)],
        "endpoints": [endpoint],
    }
    return _object("v1", "ServiceEntry", workload.name, spec)


def _sidecar(workload: Workload, addresses: Addresses) -> Manifest:
    """Where its Envoy listens, since nothing is captured here: mTLS on a port, the service's own calls on a socket."""
    inbound = {
        "port": {"number": addresses.ports[workload.name], "name": "grpc", "protocol": "GRPC"},
        "bind": addresses.host,
        "captureMode": "NONE",
        "defaultEndpoint": f"unix://{addresses.socket(workload.name)}",
    }
    outbound: Manifest = {"hosts": ["~/*"]}
    if workload.calls:
        outbound = {
            "port": {"number": 0, "name": "grpc-out", "protocol": "GRPC"},
            "bind": f"unix://{addresses.out_socket(workload.name)}",
            "captureMode": "NONE",
            "hosts": [f"./{topology.host(callee)}" for callee in workload.calls],
        }
    spec = {**_selected(workload), "ingress": [inbound], "egress": [outbound]}
    return _object("v1", "Sidecar", workload.name, spec)


def relied_on(workload: Workload, contract: Contract, addresses: Addresses, proof: Config) -> Manifest:
    """What our services rely on and Istio does not do by itself: the sidecar's proof, refusals in our words."""
    patches = [
        _manager("SIDECAR_INBOUND", f"{workload.name}.in"),
        _manager("SIDECAR_OUTBOUND", f"{workload.name}.out"),
        _inbound(workload, contract, addresses.ports[workload.name]),
        _insert("INSERT_BEFORE", proof, {"subFilter": {"name": ROUTER}}),
    ]
    patches += map(_named, workload.calls)
    if KEYS in workload.serves:
        patches.append(_insert("INSERT_FIRST", transcoder(addresses, (KEYS,)), {}))
    # After whatever has none: relative places are then there.
    spec = {**_selected(workload), "priority": 10, "configPatches": patches}
    made = _object("v1alpha3", "EnvoyFilter", workload.name, spec)
    # The warning that each EnvoyFilter gets: it knows Envoy. So do we, and tests watch every upgrade.
    made["metadata"]["annotations"] = {"galley.istio.io/analyze-suppress": "IST0133"}
    return made


def _selected(workload: Workload) -> Manifest:
    return {"workloadSelector": {"labels": {"app": workload.name}}}


def _manager(context: str, name: str) -> Manifest:
    """The connection manager's limits and words: those of a static sidecar."""
    whole = envoy.mesh_manager(name, [], {}, local_reply_config={"mappers": refusals.inside(DOMAIN)})
    kept = {key: value for key, value in whole["typed_config"].items() if key not in _ISTIO_S_OWN}
    return {
        "applyTo": "NETWORK_FILTER",
        "match": {"context": context, "listener": {"filterChain": {"filter": {"name": MANAGER}}}},
        "patch": {"operation": "MERGE", "value": {"name": MANAGER, "typed_config": kept}},
    }


_ISTIO_S_OWN = frozenset({"stat_prefix", "http_filters", "route_config"})


def _inbound(workload: Workload, contract: Contract, port: int) -> Manifest:
    """Each method with its time, where istiod has one route for all; only the gateway's word on an address is kept."""
    name = f"inbound|http|{port}"
    routes = inbound_routes(workload.name, contract, f"inbound|{port}||")
    return {
        "applyTo": "VIRTUAL_HOST",
        "match": {"context": "SIDECAR_INBOUND", "routeConfiguration": {"vhost": {"name": name}}},
        "patch": {"operation": "REPLACE", "value": {"name": name, "domains": ["*"], "routes": routes}},
    }


def _named(callee: str) -> Manifest:
    """For listeners on sockets istiod names hosts with their ports, and has Envoy overlook ports: none would match."""
    return {
        "applyTo": "VIRTUAL_HOST",
        "match": {"context": "SIDECAR_OUTBOUND", "routeConfiguration": {"vhost": {"name": topology.authority(callee)}}},
        "patch": {"operation": "MERGE", "value": {"domains": [topology.host(callee)]}},
    }


def _insert(operation: str, value: Config, where: Mapping[str, Any]) -> Manifest:
    manager = {"name": MANAGER, **where}
    return {
        "applyTo": "HTTP_FILTER",
        "match": {"context": "SIDECAR_INBOUND", "listener": {"filterChain": {"filter": manager}}},
        "patch": {"operation": operation, "value": value},
    }
