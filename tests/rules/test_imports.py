"""Who may import what. import-linter holds the layers (pyproject.toml); these are the rules it cannot say."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.rules import tree
from tests.rules.tree import ROOT, imports, modules, within

SERVICES = modules("services")
INNER = [path for path in SERVICES if "domain" in path.stem or "domain" in path.parts]
WIRE = ("servicer", "convert", "events", "main", "directory")


def test_layers_hold() -> None:
    """Every contract of import-linter is kept."""
    done = subprocess.run(
        [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", [Path("mesh/model.py"), *INNER], ids=str)
def test_the_inside_knows_only_the_model(path: Path) -> None:
    """mesh.model imports only the standard library; a domain imports only that, mesh.model and itself."""
    own = ".".join(path.parts[:2]) if path.parts[0] == "services" else "mesh.model"
    foreign = {
        name
        for name in imports(path)
        if name.partition(".")[0] not in sys.stdlib_module_names
        and name != "mesh"
        and not within(name, "mesh.model", own)
    }
    assert foreign == set()


@pytest.mark.parametrize("path", SERVICES, ids=str)
def test_the_wire_stays_at_the_rim(path: Path) -> None:
    """Inside a service, protobuf is known only to servicers, converters, events and who asks others; grpc to none."""
    named = imports(path)
    if path.stem.rpartition("_")[2] not in WIRE:
        assert not {name for name in named if within(name, "tulle", "google.protobuf")}
    if path.stem != "main":
        assert not {name for name in named if within(name, "grpc")}


@pytest.mark.parametrize("path", modules("infra", "gateway"), ids=str)
def test_grpc_is_the_meshs_business(path: Path) -> None:
    """Nobody but mesh and a process's main imports grpc."""
    assert not {name for name in imports(path) if within(name, "grpc")}


@pytest.mark.parametrize("path", modules(*tree.CODE), ids=str)
def test_the_environment_is_read_in_one_place(path: Path) -> None:
    """Only infra/settings.py looks at environment variables."""
    words = {"environ", "environb", "getenv"}
    named = {node.attr for node in ast.walk(tree.tree(path)) if isinstance(node, ast.Attribute)}
    assert path == Path("infra/settings.py") or not (words & named or {f"os.{word}" for word in words} & imports(path))
