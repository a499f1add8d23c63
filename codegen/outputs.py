"""Everything that is generated from the contract besides the stubs: one row each."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from codegen import asyncapi, matrix, openapi, pages, reference
from codegen.project import Project
from gateway import routes
from gateway.config import gateway
from infra.deploy.istio import files
from mesh import envoy
from mesh.envoy import Addresses
from mesh.sidecar import sidecar
from services import topology

ROOT = Path(__file__).parent.parent
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


def _cluster(name: str) -> Output:
    return Output(f"infra/deploy/istio/{name}.yaml", lambda project: files.render(name, project.contract))


def limits(project: Project) -> str:
    """The table of limits, filled by importing every module that puts a number into it."""
    for folder in ("gateway", "infra", "mesh", "services"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            if re.search(r"^(\w+ = )?(limits\.)?limit\(", path.read_text(), re.MULTILINE):
                importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
    return pages.limits(project)


OUTPUTS = (
    Output("codegen/gen/asyncapi.json", asyncapi.render),
    Output("codegen/gen/openapi.json", openapi.render),
    Output("README.md", pages.diagram, "topology"),
    Output("docs/api.md", reference.render),
    Output("docs/limits.md", limits),
    Output("docs/matrix.md", matrix.render),
    Output("docs/policy.md", pages.policy),
    Output("docs/topology.md", pages.topology),
    Output("gateway/envoy.yaml", lambda project: envoy.dump(gateway(project.contract, Addresses()))),
    Output("gateway/routes.yaml", lambda project: envoy.dump(routes.table(project.contract, Addresses()))),
    *map(_sidecar, (workload.name for workload in topology.WORKLOADS if workload.serves)),
    *map(_cluster, files.FILES),
)
