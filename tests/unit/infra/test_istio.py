"""What istiod is told of the stack on one machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from infra.istio import manifests
from infra.istio.bootstrap import bootstrap
from infra.istio.limits import POLICY_DRAIN, POLICY_WITHIN
from mesh import hops, sds
from mesh.contract import contract
from mesh.envoy import Addresses
from services import topology

SERVED = [workload for workload in topology.WORKLOADS if workload.serves]


def of_kind(kind: str) -> dict[str, Any]:
    """The specs of all objects of a kind, by name."""
    made = manifests.manifests(contract(), Addresses())
    return {one["metadata"]["name"]: one["spec"] for one in made if one["kind"] == kind}


def test_no_call_within_its_deadline_is_cut() -> None:
    """A change of policy drains connections for longer than any unary call may take, and is in force in time."""
    margins = hops.INBOUND_MARGIN + hops.OUTBOUND_MARGIN + hops.EDGE_MARGIN
    longest = max(method.deadline for method in contract().methods if not method.server_streaming)
    assert longest + margins <= POLICY_DRAIN < POLICY_WITHIN


def test_each_service_has_its_place() -> None:
    """Each workload that serves is there under its name, with its identity, at its port."""
    entries, ports = of_kind("ServiceEntry"), Addresses().ports
    for workload in SERVED:
        entry = entries[workload.name]
        assert entry["hosts"] == [topology.host(workload.name)]
        assert entry["subjectAltNames"] == [topology.spiffe_id(workload.name)]
        assert [endpoint["ports"]["grpc"] for endpoint in entry["endpoints"]] == [ports[workload.name]]


def test_a_sidecar_reaches_whom_its_workload_calls() -> None:
    """A sidecar offers its service the workloads of the topology, and no others."""
    for workload in SERVED:
        (egress,) = of_kind("Sidecar")[workload.name]["egress"]
        wanted = [f"./{topology.host(callee)}" for callee in workload.calls]
        assert egress["hosts"] == (wanted or ["~/*"])


def test_every_caller_is_announced_by_the_sidecar_alone() -> None:
    """Identities are replaced, never appended to, and are of the one field that services read."""
    headers = manifests.mesh()["defaultConfig"]["proxyHeaders"]
    assert headers["forwardedClientCert"] == "SANITIZE_SET"
    assert [name for name, wanted in headers["setCurrentClientCertDetails"].items() if wanted] == ["uri"]


def test_each_proxy_is_somebody_else() -> None:
    """No two Envoys tell istiod the same id, and none the address of a service."""
    nodes = [bootstrap(workload.name, contract(), Addresses(), 15010)["node"] for workload in SERVED]
    assert len({node["id"] for node in nodes}) == len(SERVED)
    assert len({node["metadata"]["INSTANCE_IPS"] for node in nodes} | {Addresses().host}) == len(SERVED) + 1


def test_an_envoy_asks_for_its_own_certificate() -> None:
    """Each workload's certificates come over a socket of its own."""
    for workload in SERVED:
        clusters = bootstrap(workload.name, contract(), Addresses(), 15010)["static_resources"]["clusters"]
        (sockets,) = [one for one in clusters if one["name"] == "sds-grpc"]
        assert str(sds.socket(Path(Addresses().run_dir), workload.name)) in str(sockets)
