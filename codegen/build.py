"""The whole build in memory: protos -> every generated file, or what is wrong with the protos."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from codegen import check, project
from codegen import compile as compiler
from codegen.outputs import OUTPUTS, Output
from codegen.project import Project
from codegen.rules import style
from codegen.rules.finding import Finding

ROOT = Path(__file__).parent.parent
GEN = "codegen/gen"


class BadContract(Exception):
    """The protos break rules of contracts."""

    def __init__(self, findings: list[Finding]) -> None:
        super().__init__("\n".join(map(str, findings)))
        self.findings = findings


def build(root: Path = ROOT) -> Mapping[str, bytes]:
    """Every generated file of the tree at `root`, by its path. Raises: CompileError, BadContract."""
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        compiled = compiler.descriptor_set(root / "protos", scratch)
        state = project.load(compiled, root)
        if found := [*_style(root, scratch), *check.findings(state)]:
            raise BadContract(found)
        return {**_stubs(root, scratch), **_contract(compiled), **_outputs(root, state)}


def _style(root: Path, scratch: Path) -> Iterator[Finding]:
    yield from style.lint(scratch / "contract.binpb", root / "buf.yaml")
    yield from style.formatted(root / "protos")


def _contract(compiled: bytes) -> dict[str, bytes]:
    return {f"{GEN}/contract.binpb": compiler.without_source(compiled)}


def _stubs(root: Path, scratch: Path) -> dict[str, bytes]:
    out = scratch / "stubs"
    out.mkdir()
    names = compiler.names(root / "protos")
    with_services = tuple(name for name in names if "\nservice " in (root / "protos" / name).read_text())
    compiler.stubs(scratch / "contract.binpb", names, with_services, out)
    return {f"{GEN}/{path.relative_to(out)}": path.read_bytes() for path in out.rglob("*") if path.is_file()}


def _outputs(root: Path, state: Project) -> dict[str, bytes]:
    return {output.path: _text(root, output, state).encode() for output in OUTPUTS}


def _text(root: Path, output: Output, state: Project) -> str:
    rendered = output.render(state)
    return rendered if not output.marker else insert((root / output.path).read_text(), output.marker, rendered)


def insert(text: str, marker: str, new: str) -> str:
    """`text` with `new` between its markers. Raises: ValueError if it has none."""
    before, start, rest = text.partition(f"<!-- {marker} -->\n")
    _, end, after = rest.partition(f"<!-- /{marker} -->\n")
    if not start or not end:
        raise ValueError(f"the text has no lines <!-- {marker} --> and <!-- /{marker} -->")
    return f"{before}{start}{new}{end}{after}"


def stray(built: Mapping[str, bytes], root: Path = ROOT) -> list[str]:
    """Files in gen/ that the build does not make."""
    present = (path for path in (root / GEN).rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return sorted(name for path in present if (name := path.relative_to(root).as_posix()) not in built)


def stale(built: Mapping[str, bytes], root: Path = ROOT) -> list[str]:
    """Files of the tree that differ from the build, or are missing."""
    return sorted(name for name, content in built.items() if not _same(root / name, content))


def write(built: Mapping[str, bytes], root: Path = ROOT) -> None:
    """Make the tree agree with the build: write what differs, delete what is stray."""
    for name in stale(built, root):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(built[name])
    for name in stray(built, root):
        (root / name).unlink()


def _same(path: Path, content: bytes) -> bool:
    return path.is_file() and path.read_bytes() == content
