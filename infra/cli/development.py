"""Verbs of development, the same for people and CI: test, check, codegen, bench, lock."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Annotated

import typer

from infra.cli.app import app, err
from infra.settings import development_environment

ROOT = Path(__file__).parent.parent.parent
BIN = Path(sys.executable).parent
OPTIONAL = ("conformance", "engines", "faults", "istio", "scaffold", "stripe")
"""Folders of tests/ that need an engine which the locks do not bring, or patience; `--all` or their names run them."""
STACKS = ("conformance", "e2e", "istio", "scaffold")
"""Folders whose tests wait for stacks more than they compute: they run beside all others, which take as long."""
NO_TESTS = 5
"""What pytest ends with when it has found nothing to run."""
PASSED_ON = {"allow_extra_args": True, "ignore_unknown_options": True}
CHECKS = {
    "format": ("ruff", "format", "--check", "--quiet", "."),
    "lint": ("ruff", "check", "--quiet", "."),
    "types": ("mypy", "."),
    "imports": ("lint-imports", "--no-cache"),
    "contract": ("python", "-m", "codegen", "--check"),
    "breaking": ("python", "-m", "codegen.breaking"),
}


@app.command(context_settings=PASSED_ON)
def test(
    context: typer.Context,
    everything: Annotated[bool, typer.Option("--all", help="Also what needs an engine or patience; CI does.")] = False,
) -> None:
    """Run the tests. Whatever else is given goes to pytest: folders of tests/ by name, paths, -k, -x …"""
    named = [f"tests/{one}" if (ROOT / "tests" / one).is_dir() else one for one in context.args]
    if any((ROOT / one.partition("::")[0]).exists() for one in named):
        sys.exit(_run("python", "-m", "pytest", *named))
    folders = sorted(path.name for path in (ROOT / "tests").iterdir() if any(path.glob("**/test_*.py")))
    chosen = [name for name in folders if everything or name not in OPTIONAL]
    sys.exit(asyncio.run(_both([n for n in chosen if n in STACKS], [n for n in chosen if n not in STACKS], named)))


async def _both(stacks: Sequence[str], others: Sequence[str], options: Sequence[str]) -> int:
    """Two runs of pytest at once, each with boxes of its own; what the second says is printed after the first."""
    with tempfile.TemporaryFile() as said:
        runs = (_run_of("others", others, options, said), _one_by_one(stacks, options))
        codes = await asyncio.gather(*runs)
        said.seek(0)
        sys.stdout.buffer.write(said.read())
    return worst([code for code in codes if code != NO_TESTS], none=NO_TESTS)


async def _one_by_one(folders: Sequence[str], options: Sequence[str]) -> int:
    """A run for each folder, whose stack is gone before the next one's starts: Envoys may watch only so many files."""
    codes = [await _run_of(folder, [folder], options, None) for folder in folders]
    return worst([code for code in codes if code != NO_TESTS], none=NO_TESTS)


def worst(codes: Sequence[int], none: int = 0) -> int:
    """The exit code of several processes: zero if all are. One that a signal has ended has a negative one."""
    return max(map(abs, codes), default=none)


async def _run_of(name: str, folders: Sequence[str], options: Sequence[str], said: IO[bytes] | None) -> int:
    paths = [f"tests/{folder}" for folder in folders]
    # What failed last is remembered by each for itself.
    command = (str(BIN / "python"), "-m", "pytest", "-o", f"cache_dir=.pytest_cache/{name}", *options, *paths)
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, env=development_environment(), stdout=said)
    return await process.wait()


@app.command()
def check() -> None:
    """Run the static checks, all at once: format, lint, types, imports, generated files, breaks."""
    sys.exit(asyncio.run(_check()))


async def _check() -> int:
    return worst(await asyncio.gather(*(_one(name, command) for name, command in CHECKS.items())))


async def _one(name: str, command: tuple[str, ...]) -> int:
    began = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        str(BIN / command[0]),
        *command[1:],
        cwd=ROOT,
        env=development_environment(),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    mark = "[red]✗[/red]" if process.returncode else "[green]✓[/green]"
    err.print(f"{mark} {name} [dim]{time.monotonic() - began:.1f} s[/dim]")
    if process.returncode:
        err.print(said.decode().strip(), markup=False, soft_wrap=True)
    return process.returncode or 0


@app.command(context_settings=PASSED_ON)
def codegen(context: typer.Context) -> None:
    """Compile the contract into everything that is generated; --check only compares."""
    sys.exit(_run("python", "-m", "codegen", *context.args))


@app.command(context_settings=PASSED_ON)
def breaking(context: typer.Context) -> None:
    """Say what the contract breaks since the last release, and for whom; --json for programs."""
    sys.exit(_run("python", "-m", "codegen.breaking", *context.args))


@app.command(context_settings=PASSED_ON)
def release(context: typer.Context) -> None:
    """Prepare a release: what later changes of the contract are held against, the changelog, the version."""
    sys.exit(_run("python", "-m", "codegen.breaking.release", *context.args))


@app.command(context_settings=PASSED_ON)
def bench(context: typer.Context) -> None:
    """Measure the hot path against its peers; docs/benchmarks.md says how to read it."""
    sys.exit(_run("python", "-m", "bench", *context.args))


@app.command(context_settings=PASSED_ON)
def faults(context: typer.Context) -> None:
    """Harm a stack of its own while people use it, and judge what comes of it; docs/faults.md has the laws."""
    sys.exit(_run("python", "-m", "faults", *context.args))


@app.command()
def lock(upgrade: Annotated[bool, typer.Option("--upgrade", help="Take the newest versions.")] = False) -> None:
    """Write both locks from pyproject.toml: hashes and versions, no addresses."""
    for extra, file in (((), "requirements.lock"), (("--extra", "dev"), "requirements-dev.lock")):
        options = ("--quiet", "--generate-hashes", "--no-emit-index-url", "--no-header", "--universal")
        newer = ("--upgrade",) if upgrade else ()
        versions = ("--python-version", "3.11")
        if code := _run("uv", "pip", "compile", *options, *versions, *newer, *extra, "pyproject.toml", "-o", file):
            sys.exit(code)


def _run(program: str, *arguments: str) -> int:
    command = [str(BIN / program), *arguments]
    return subprocess.run(command, cwd=ROOT, env=development_environment(), check=False).returncode
