"""The files that rules are about, and what they import."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
CODE = ("mesh", "services", "infra", "gateway", "codegen", "bench", "faults")
# Made, fetched or kept by tools.
_NOT_OURS = {".git", ".venv", ".tulle", "__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".hypothesis"}


def modules(*folders: str) -> list[Path]:
    """Hand-written Python files, relative to the root."""
    found = (path.relative_to(ROOT) for folder in folders for path in (ROOT / folder).rglob("*.py"))
    return sorted(path for path in found if path.parts[:2] != ("codegen", "gen"))


def texts() -> Iterator[tuple[Path, str]]:
    """Every text file of the project, relative to the root."""
    for path in sorted(ROOT.rglob("*")):
        inside = path.relative_to(ROOT)
        if path.is_file() and not _NOT_OURS & set(inside.parts):
            try:
                yield inside, path.read_text()
            except UnicodeDecodeError:
                continue


def tree(path: Path) -> ast.Module:
    """The syntax tree of a file."""
    return ast.parse((ROOT / path).read_text())


def imports(path: Path) -> set[str]:
    """Full names of the modules that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            # `from mesh import model` is an import of mesh.model.
            found |= {node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def within(module: str, *packages: str) -> bool:
    """Whether a module is one of the packages or inside one."""
    return any(module == package or module.startswith(f"{package}.") for package in packages)
