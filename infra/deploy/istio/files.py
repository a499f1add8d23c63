"""The committed files for a cluster, each a stream of YAML documents."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from infra.deploy.istio import sidecars
from infra.deploy.istio.ingress import ingress
from infra.deploy.istio.objects import Manifest
from infra.deploy.istio.policies import policies
from infra.deploy.istio.scaling import scaling
from infra.deploy.istio.workloads import addresses, workloads
from mesh import envoy
from mesh.contract import Contract

PUBLIC_URL = "https://tulle.example.com"
"""Where clients reach the edge: the issuer of tokens. A deployment replaces it in both files that say it."""


FILES: Mapping[str, Callable[[Contract], list[Manifest]]] = {
    # Values of Istio's own chart for istiod.
    "mesh": lambda contract: [{"meshConfig": sidecars.mesh(), "env": sidecars.ISTIOD}],
    "workloads": workloads,
    "policies": policies,
    "scaling": scaling,
    "ingress": lambda contract: ingress(contract, addresses(PUBLIC_URL)),
}


def render(name: str, contract: Contract) -> str:
    """One of FILES."""
    return envoy.dump_all(FILES[name](contract))
