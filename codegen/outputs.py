"""Everything that is generated from the contract besides the stubs: one row each."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass

from codegen import openapi, pages
from codegen.project import Project
from gateway import routes
from gateway.config import gateway
from mesh import envoy
from mesh.envoy import Addresses
from mesh.sidecar import sidecar
from services import topology

# They fill the table of limits when they are imported.
for module in ("mesh.limits", "mesh.hops", "services.auth.limits", "services.auth.main", "services.users.limits"):
    importlib.import_module(module)

SIDECARS = "codegen/gen/sidecars"


@dataclass(frozen=True, slots=True)
class Output:
    """A file, and the pure function that makes it.

    `marker`: only the text between `<!-- marker -->` and `<!-- /marker -->` is made; the rest is by hand.
    """

    path: str
    render: Callable[[Project], str]
    marker: str = ""


def _sidecar(workload: str) -> Output:
    path = f"{SIDECARS}/{workload}.yaml"
    return Output(path, lambda project: envoy.dump(sidecar(workload, project.contract, Addresses())))


OUTPUTS = (
    Output("codegen/gen/openapi.json", openapi.render),
    Output("README.md", pages.diagram, "topology"),
    Output("docs/limits.md", pages.limits),
    Output("docs/policy.md", pages.policy),
    Output("docs/topology.md", pages.topology),
    Output("gateway/envoy.yaml", lambda project: envoy.dump(gateway(project.contract, Addresses()))),
    Output("gateway/routes.yaml", lambda project: envoy.dump(routes.table(project.contract))),
    *map(_sidecar, (workload.name for workload in topology.WORKLOADS if workload.serves)),
)
