"""Programs that exist as Go modules only, built once from pinned sources into a cache outside the tree.

Each folder here pins one set of them: a `go.mod` whose `tool` lines name what is built, and a `go.sum`
with the hashes of all sources. A change of either is another build.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from infra.local.layout import Unusable
from infra.settings import cache_folder, development_environment

ROOT = Path(__file__).parent
STRIPPED = "-s -w"
"""Without symbols and debugging information."""


def binaries(name: str, tell: Callable[[str], None], *, ldflags: str = STRIPPED) -> Path:
    """The folder of the programs of the set `name`, which are built if they are not there yet.

    A program is called like its package. `tell` hears of a build, which takes minutes and needs Go.
    Raises: Unusable if there is no Go, or if it cannot build them.
    """
    made = folder(name, ldflags=ldflags)
    if not made.exists():
        tell(f"Building {name} from its Go modules, once …")
        _build(name, ldflags, made)
    return made


def folder(name: str, *, ldflags: str = STRIPPED) -> Path:
    """Where the programs of the set `name` are once they are built."""
    return cache_folder() / "go" / f"{name}-{_fingerprint(name, ldflags)}"


def _fingerprint(name: str, ldflags: str) -> str:
    pins = b"".join((ROOT / name / file).read_bytes() for file in ("go.mod", "go.sum"))
    return hashlib.sha256(pins + ldflags.encode()).hexdigest()[:12]


def _build(name: str, ldflags: str, made: Path) -> None:
    go = shutil.which("go")
    if go is None:
        raise Unusable(f"{name} is built from its Go sources, and there is no `go` here; install Go and try again.")
    scratch = made.with_name(f"{made.name}.{os.getpid()}.new")
    scratch.mkdir(parents=True, mode=0o700)
    command = [go, "build", "-mod=readonly", "-trimpath", f"-ldflags={ldflags}", "-o", f"{scratch}/", "tool"]
    environment = development_environment() | {"GOTOOLCHAIN": "local", "CGO_ENABLED": "0"}
    done = subprocess.run(command, cwd=ROOT / name, env=environment, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        shutil.rmtree(scratch)
        raise Unusable(f"{name} could not be built: {done.stderr.strip()[-2000:]}")
    if made.exists():  # Somebody else was faster.
        shutil.rmtree(scratch)
    else:
        scratch.rename(made)
