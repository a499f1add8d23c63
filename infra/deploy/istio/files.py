"""The committed files for a cluster, each a stream of YAML documents."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from infra.deploy.istio.ingress import ingress
from infra.deploy.istio.policies import Manifest, policies
from infra.deploy.istio.workloads import addresses, workloads
from infra.istio import manifests
from mesh import envoy
from mesh.contract import Contract

PUBLIC_URL = "https://tulle.example.com"
"""Where clients reach the edge: the issuer of tokens. A deployment replaces it in both files that say it."""


def mesh() -> Manifest:
    """Values of Istio's own chart for istiod: what holds for the whole mesh."""
    config = dict(manifests.mesh())
    # On one machine nothing is captured; in a pod Istio's injection does it.
    config["defaultConfig"] = {
        key: value for key, value in config["defaultConfig"].items() if key != "interceptionMode"
    }
    # Databases and mail are reached past the mesh, with credentials of their own.
    del config["rootNamespace"]
    return {"meshConfig": config}


FILES: Mapping[str, Callable[[Contract], list[Manifest]]] = {
    "mesh": lambda contract: [mesh()],
    "workloads": workloads,
    "policies": policies,
    "ingress": lambda contract: ingress(contract, addresses(PUBLIC_URL)),
}


def render(name: str, contract: Contract) -> str:
    """One of FILES."""
    return envoy.dump_all(FILES[name](contract))
