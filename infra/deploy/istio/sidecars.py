"""What Istio's sidecars do for our services, wherever they run: beyond its defaults, and beyond its fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from infra.deploy.istio.objects import (
    INBOUND,
    OUTBOUND,
    ROUTER,
    Manifest,
    envoy_filter,
    http_filter,
    manager,
    patch,
    thing,
)
from mesh import envoy, refusals
from mesh.contract import Contract
from mesh.envoy import Addresses, Config
from mesh.sidecar import DOMAIN, KEYS, inbound_routes, transcoder
from services import topology
from services.topology import Workload


def mesh() -> Mapping[str, Any]:
    """The mesh configuration."""
    return {
        "trustDomain": topology.TRUST_DOMAIN,
        "enablePrometheusMerge": False,
        "outboundTrafficPolicy": {"mode": "REGISTRY_ONLY"},
        # Traces are the services' own: what an Envoy adds would be spans of nobody.
        "enableTracing": False,
        "meshMTLS": {"minProtocolVersion": "TLSV1_3"},
        # Nothing is repeated unless a route says so.
        "defaultHttpRetryPolicy": {"attempts": 0},
        "defaultConfig": {
            "proxyHeaders": {
                # The identity that a caller claims is replaced, not appended to.
                "forwardedClientCert": "SANITIZE_SET",
                "setCurrentClientCertDetails": {"uri": True, "subject": False, "dns": False},
                "requestId": {"disabled": True},
                "attemptCount": {"disabled": True},
                # Nobody learns from a response what is behind it.
                "envoyDebugHeaders": {"disabled": True},
                "server": {"value": envoy.SERVER},
            },
        },
    }


ISTIOD = {
    # Envoys ask for keys themselves: istiod is no caller of the workload that has them.
    "PILOT_JWT_ENABLE_REMOTE_JWKS": "envoy",
    # The edge tells a client itself to go on: it holds a body until it is checked, and would wait for a service's word.
    "ENABLE_100_CONTINUE_HEADERS": "false",
}
"""What istiod is told in its environment, for want of a field of the mesh configuration."""


def sockets(workload: Workload, addresses: Addresses, port: int, **listener: str) -> Manifest:
    """The two sockets: calls that come at `port` go to one, the service's own come from the other."""
    at = {"number": port, "name": "grpc", "protocol": "GRPC"}
    ingress = {"port": at, **listener, "defaultEndpoint": f"unix://{addresses.socket(workload.name)}"}
    selector = {"labels": {"app": workload.name}}
    spec = {"workloadSelector": selector, "ingress": [ingress], "egress": [_egress(workload, addresses)]}
    return thing("networking.istio.io/v1", "Sidecar", workload.name, spec=spec)


def _egress(workload: Workload, addresses: Addresses) -> Manifest:
    if not workload.calls:
        return {"hosts": ["~/*"]}
    return {
        "port": {"number": 0, "name": "grpc-out", "protocol": "GRPC"},
        "bind": f"unix://{addresses.out_socket(workload.name)}",
        "captureMode": "NONE",
        "hosts": [f"./{topology.host(callee)}" for callee in workload.calls],
    }


def relied_on(workload: Workload, contract: Contract, addresses: Addresses, proof: Config) -> Manifest:
    """What our services rely on and Istio does not do by itself: the sidecar's proof, refusals in our words."""
    patches = [
        manager(INBOUND, _manager(f"{workload.name}.in")),
        manager(OUTBOUND, _manager(f"{workload.name}.out")),
        _inbound(workload, contract, addresses.ports[workload.name]),
        http_filter(INBOUND, "INSERT_BEFORE", proof, ROUTER),
        *map(_named, workload.calls),
    ]
    if KEYS in workload.serves:
        patches.append(http_filter(INBOUND, "INSERT_FIRST", transcoder(addresses, (KEYS,))))
    return envoy_filter(workload.name, {"app": workload.name}, patches)


def _manager(name: str) -> Config:
    """The connection manager's limits and words: those of a static sidecar."""
    whole = envoy.mesh_manager(name, [], {}, local_reply_config={"mappers": refusals.inside(DOMAIN)})
    return {key: value for key, value in whole["typed_config"].items() if key not in _ISTIO_S_OWN}


_ISTIO_S_OWN = frozenset({"stat_prefix", "http_filters", "route_config"})


def _inbound(workload: Workload, contract: Contract, port: int) -> Manifest:
    """Each method with its time, where istiod has one route for all; only the gateway's word on an address is kept."""
    name = f"inbound|http|{port}"
    routes = inbound_routes(workload.name, contract, f"inbound|{port}||")
    value = {"name": name, "domains": ["*"], "routes": routes}
    return patch(INBOUND, "VIRTUAL_HOST", "REPLACE", value, routeConfiguration={"vhost": {"name": name}})


def _named(callee: str) -> Manifest:
    """For listeners on sockets istiod names hosts with their ports, and has Envoy overlook ports: none would match."""
    where = {"vhost": {"name": topology.authority(callee)}}
    value = {"domains": [topology.host(callee)]}
    return patch(OUTBOUND, "VIRTUAL_HOST", "MERGE", value, routeConfiguration=where)
