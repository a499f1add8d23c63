"""What istiod is told about the stack on one machine: where workloads are.

Who may call whom, how calls are routed and what sidecars do beyond that is not here: those objects are a
real cluster's own (infra/deploy/istio).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from infra.deploy.istio import ingress, sidecars
from infra.deploy.istio.objects import Manifest, thing
from mesh import sds
from mesh.contract import Contract
from mesh.envoy import Addresses
from mesh.sidecar import proof
from services import topology
from services.topology import GATEWAY, Workload


def mesh() -> Mapping[str, Any]:
    """The mesh configuration, where nothing is captured."""
    shared = sidecars.mesh()
    own = {"rootNamespace": "istio-system", "defaultConfig": {**shared["defaultConfig"], "interceptionMode": "NONE"}}
    return {**shared, **own}


def manifests(contract: Contract, addresses: Addresses) -> list[Manifest]:
    """All objects, in an order in which they can be applied."""
    served = [workload for workload in contract.workloads if workload.serves]
    return [
        _pod(contract.workload(GATEWAY)),
        ingress.service({"http": (addresses.http_port,) * 2, "https": (addresses.https_port,) * 2}),
        _listeners(addresses),
        *ingress.rules(contract, addresses),
        *(
            made
            for workload in served
            for made in (
                _pod(workload),
                _entry(workload, addresses),
                _sidecar(workload, addresses),
                sidecars.relied_on(workload, contract, addresses, proof()),
            )
        ),
    ]


def _listeners(addresses: Addresses) -> Manifest:
    """The edge's TLS as in a cluster, and the plain port of a laptop."""
    plain = {"number": addresses.http_port, "name": "http", "protocol": "HTTP"}
    certificate, key = sds.files(Path(addresses.certs_dir) / ingress.EDGE)
    return ingress.listeners(
        [
            {"port": plain, "hosts": ["*"], "bind": addresses.host},
            ingress.https(addresses.https_port, certificate, key, bind=addresses.host),
        ]
    )


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
    return thing("networking.istio.io/v1", "ServiceEntry", workload.name, spec=spec)


def _sidecar(workload: Workload, addresses: Addresses) -> Manifest:
    """Where its Envoy listens: mTLS on a port of loopback."""
    port = addresses.ports[workload.name]
    return sidecars.sockets(workload, addresses, port, bind=addresses.host, captureMode="NONE")
