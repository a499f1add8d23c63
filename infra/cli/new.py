"""`./tulle new`: a working service or method to begin with."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import typer

from infra.cli import scaffold, scaffold_rpc
from infra.cli.app import app, err
from infra.settings import development_environment

ROOT = Path(__file__).parent.parent.parent
new = typer.Typer(no_args_is_help=True, help="Write the code of a new service or method.")
app.add_typer(new, name="new")


@new.command()
def service(name: str) -> None:
    """Write a service that works: contract, vertical slice, tests, its row in the topology."""
    _write(lambda: scaffold.service(ROOT, scaffold.names(ROOT, name)))


@new.command()
def rpc(service: str, method: str) -> None:
    """Write a method that works, such as `notes CountNotes`: contract, use case, servicer, test."""
    _write(lambda: scaffold_rpc.rpc(ROOT, service, method))


def _write(made: Callable[[], dict[Path, str]]) -> NoReturn:
    try:
        files = made()
    except scaffold.Refused as refused:
        _refuse(str(refused))
    if _codegen("--check"):
        _refuse("generated files are not fresh: run `./tulle codegen` and see that it succeeds, then ask again")
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    python = [str(path) for path in files if path.suffix == ".py"]
    for arguments in (("check", "--quiet", "--fix"), ("format", "--quiet")):
        _run("ruff", *arguments, *python)
    sys.exit(_codegen())


def _codegen(*arguments: str) -> int:
    return _run("python", "-m", "codegen", *arguments)


def _run(program: str, *arguments: str) -> int:
    command = [str(Path(sys.executable).parent / program), *arguments]
    environment = development_environment()
    return subprocess.run(command, cwd=ROOT, env=environment, check=False, stdout=sys.stderr).returncode


def _refuse(why: str) -> NoReturn:
    err.print(f"✗ {why}", markup=False, soft_wrap=True)
    sys.exit(2)
