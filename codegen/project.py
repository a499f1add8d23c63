"""What every rule reads and every output is made from: the contract, its source, the topology, the errors."""

from __future__ import annotations

import ast
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from codegen.source import Source
from mesh import contract, model
from mesh.contract import Contract
from services import topology
from services.topology import Workload

STATUSES = {error.__name__: error for error in model.Error.__subclasses__()}


@dataclass(frozen=True, slots=True)
class DomainError:
    """An error class of a service: `base` is the class of mesh.model that gives it its status."""

    reason: str
    base: str
    message: str


@dataclass(frozen=True)
class Project:
    """One state of the tree. `errors`: by domain and reason, what the services that are written can raise."""

    contract: Contract
    source: Source
    workloads: tuple[Workload, ...]
    errors: Mapping[str, Mapping[str, DomainError]]

    def owners(self, service: str) -> tuple[Workload, ...]:
        """The workloads that serve a gRPC service: one, unless all of it is for the operator alone."""
        return tuple(workload for workload in self.workloads if service in workload.serves)


def load(descriptor_set: bytes, root: Path) -> Project:
    """The project at `root`, whose protos were compiled into `descriptor_set` (with source positions)."""
    source = Source(descriptor_set, root / "protos")
    return Project(contract.load(descriptor_set), source, topology.WORKLOADS, known_errors(root))


def known_errors(root: Path) -> dict[str, dict[str, DomainError]]:
    """A service raises what it defines, and what mesh and infra define for all of them."""
    shared = [*defined_errors(root / "mesh"), *defined_errors(root / "infra")]
    written = [path.parent for path in sorted(root.glob("services/*/main.py"))]
    return {folder.name: {error.reason: error for error in (*shared, *defined_errors(folder))} for folder in written}


def defined_errors(folder: Path) -> Iterator[DomainError]:
    """The error classes that the modules under `folder` define, read without importing them."""
    found = {node.name: node for path in sorted(folder.rglob("*.py")) for node in _classes(path)}
    for name, node in found.items():
        if base := _status_class(node, found):
            message = " ".join((ast.get_docstring(node) or "").split())
            yield DomainError(_reason(name), base, message)


def _reason(name: str) -> str:
    error: type[model.Error] = types.new_class(name, (model.Error,))
    return error.reason


def _classes(path: Path) -> Iterator[ast.ClassDef]:
    return (node for node in ast.walk(ast.parse(path.read_text(), str(path))) if isinstance(node, ast.ClassDef))


def _status_class(node: ast.ClassDef, found: Mapping[str, ast.ClassDef]) -> str:
    """The class of mesh.model from which a class descends, or nothing."""
    for base in node.bases:
        name = ast.unparse(base).rpartition(".")[2]
        if name in found and found[name] is not node and (inherited := _status_class(found[name], found)):
            return inherited
        if name in STATUSES:
            return name
    return ""
