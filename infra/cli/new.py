"""`./tulle new`: a working service or method to begin with."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import typer

from infra.cli import copies, names, scaffold, scaffold_rpc
from infra.cli.app import app, err
from infra.cli.names import Refused
from infra.settings import development_environment

ROOT = Path(__file__).parent.parent.parent
new = typer.Typer(no_args_is_help=True, help="Write the code of a new service or method.")
app.add_typer(new, name="new")


@new.command()
def service(name: str) -> None:
    """Write a service that works: contract, vertical slice, tests, its row in the topology."""
    _write(lambda root: scaffold.service(root, names.names(root, name)))


@new.command()
def rpc(service: str, method: str) -> None:
    """Write a method that works, such as `notes CountNotes`: contract, use case, servicer, test."""
    _write(lambda root: scaffold_rpc.rpc(root, service, method))


def _write(made: Callable[[Path], dict[Path, str]]) -> None:
    """Make it in a copy of the tree, and take it from there once it builds: what fails leaves the tree as it was."""
    try:
        made(ROOT)
        with tempfile.TemporaryDirectory(prefix="tulle-new-") as folder:
            root = copies.copy(ROOT, Path(folder) / "tree")
            _build(root, made)
            written = copies.take(root, ROOT)
    except (Refused, OSError) as refused:
        _refuse(str(refused))
    print(*written, sep="\n")


def _build(root: Path, made: Callable[[Path], dict[Path, str]]) -> None:
    """Raises: Refused if the tree was not fresh, or would not build with what is made."""
    _run(root, "generated files are not fresh: run `./tulle codegen`, then ask again", "-m", "codegen", "--check")
    files = made(root)
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    python = [str(path) for path in files if path.suffix == ".py"]
    why = "what was made does not build, and nothing was written"
    for arguments in (("ruff", "check", "--quiet", "--fix"), ("ruff", "format", "--quiet")):
        _run(root, why, "-m", *arguments, *python)
    _run(root, why, "-m", "codegen")


def _run(root: Path, why: str, *arguments: str) -> None:
    command = [str(root / ".venv" / "bin" / "python"), *arguments]
    environment = development_environment() | {"PYTHONPATH": f"{root}:{root / 'codegen' / 'gen'}"}
    done = subprocess.run(command, cwd=root, env=environment, check=False, capture_output=True, text=True)
    if done.returncode:
        raise Refused("\n".join([why, *(done.stdout + done.stderr).splitlines()]))


def _refuse(why: str) -> NoReturn:
    err.print(f"✗ {why}", markup=False, soft_wrap=True)
    sys.exit(2)
