"""How an Envoy whose configuration comes from istiod begins: who it is, where istiod and its certificates are."""

from __future__ import annotations

from pathlib import Path

from mesh import envoy, hops, sds, upstreams
from mesh.contract import Contract
from mesh.envoy import Addresses, Config
from mesh.sidecar import credential
from services import topology
from services.topology import GATEWAY

XDS, SDS = "xds-grpc", "sds-grpc"
"""Names that istiod's own configuration expects."""

VERSION = "1.31.0"
"""What an agent of the pinned istiod (infra/gotools/istio) would say: by it istiod knows what proxies understand."""


def bootstrap(workload: str, contract: Contract, addresses: Addresses, istiod: int) -> Config:
    """The whole of what is said on disk. `istiod`: the port of its xDS."""
    clusters = [
        upstreams.local_cluster(SDS, str(sds.socket(Path(addresses.run_dir), workload))),
        upstreams.remote_cluster(XDS, "127.0.0.1", istiod),
    ]
    edge = workload == GATEWAY
    most = (hops.EDGE_HEAP, hops.EDGE_CONNECTIONS) if edge else (hops.SIDECAR_HEAP, hops.SIDECAR_CONNECTIONS)
    config = envoy.bootstrap(workload, addresses, [], clusters, *most)
    if not edge:
        config["static_resources"]["secrets"] = [credential(workload, addresses)]
    config["dynamic_resources"] = {"ads_config": _istiod(), "lds_config": _ads(), "cds_config": _ads()}
    return config | {"node": _node(workload, _address(workload, contract))}


def _istiod() -> Config:
    return {
        "api_type": "GRPC",
        "transport_api_version": "V3",
        "set_node_on_first_message_only": True,
        "grpc_services": [{"envoy_grpc": {"cluster_name": XDS}}],
    }


def _ads() -> Config:
    """Not ready before the first answer, however long it takes."""
    return {"ads": {}, "initial_fetch_timeout": "0s", "resource_api_version": "V3"}


def _node(workload: str, address: str) -> Config:
    namespace, kind = topology.NAMESPACE, "router" if workload == GATEWAY else "sidecar"
    return {
        "id": f"{kind}~{address}~{workload}.{namespace}~{namespace}.svc.cluster.local",
        "cluster": f"{workload}.{namespace}",
        "metadata": {
            "NAME": workload,
            "NAMESPACE": namespace,
            "WORKLOAD_NAME": workload,
            "SERVICE_ACCOUNT": workload,
            "LABELS": {"app": workload},
            "CLUSTER_ID": "Kubernetes",
            "ISTIO_VERSION": VERSION,
            "MESH_ID": topology.TRUST_DOMAIN,
            "INTERCEPTION_MODE": "NONE",
            "INSTANCE_IPS": address,
        },
    }


def _address(workload: str, contract: Contract) -> str:
    """One of its own, by which istiod tells workloads apart. Nothing listens there."""
    return f"127.0.1.{contract.workloads.index(contract.workload(workload)) + 1}"
