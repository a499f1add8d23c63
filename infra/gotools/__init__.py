"""Programs that exist as Go modules only, built once from pinned sources into a cache outside the tree.

Each folder here pins one set of them: a `go.mod` whose `tool` lines name what is built, and a `go.sum`
with the hashes of all sources. A change of either is another build.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from infra.local.layout import Unusable
from infra.local.limits import BUILD_TOLD
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
        _build(name, ldflags, made, tell)
    return made


def folder(name: str, *, ldflags: str = STRIPPED) -> Path:
    """Where the programs of the set `name` are once they are built."""
    return cache_folder() / "go" / f"{name}-{_fingerprint(name, ldflags)}"


def _fingerprint(name: str, ldflags: str) -> str:
    pins = b"".join((ROOT / name / file).read_bytes() for file in ("go.mod", "go.sum"))
    return hashlib.sha256(pins + ldflags.encode()).hexdigest()[:12]


def _build(name: str, ldflags: str, made: Path, tell: Callable[[str], None]) -> None:
    """Compile in a folder that goes with all of Go's caches, which are twenty times what comes of them."""
    made.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryDirectory(prefix=f"{made.name}.", dir=made.parent) as scratch:
        programs = Path(scratch) / "programs"
        programs.mkdir(mode=0o700)
        _compile(name, ldflags, programs, tell)
        with contextlib.suppress(OSError):  # Somebody else was faster.
            programs.rename(made)


def _compile(name: str, ldflags: str, programs: Path, tell: Callable[[str], None]) -> None:
    go = shutil.which("go")
    if go is None:
        raise Unusable(f"{name} is built from its Go sources, and there is no `go` here; install Go and try again.")
    ours = development_environment()
    caches = {"GOCACHE": str(programs.with_name("cache")), "GOMODCACHE": str(programs.with_name("modules"))}
    # Otherwise nobody may delete the modules.
    flags = {"GOFLAGS": f"{ours.get('GOFLAGS', '')} -modcacherw", "GOTOOLCHAIN": "local", "CGO_ENABLED": "0"}
    progress = _Progress(name, tell)
    run = functools.partial(_run, progress=progress, folder=ROOT / name, environment=ours | caches | flags)
    progress.packages = run([go, "list", "-mod=readonly", "-deps", "tool"]).count("\n")
    run([go, "build", "-v", "-mod=readonly", "-trimpath", f"-ldflags={ldflags}", "-o", f"{programs}/", "tool"])


@dataclass
class _Progress:
    """What is told of a build, from what Go says of it on standard error."""

    name: str
    tell: Callable[[str], None]
    packages: int = 0
    modules: int = 0
    compiled: int = 0
    troubles: list[str] = field(default_factory=list)
    told: float = field(default_factory=time.monotonic)

    def hear(self, line: str) -> None:
        """One line of Go's; now and then something is told."""
        if line.startswith("go: downloading "):
            self.modules += 1
        elif " " in line.strip() or not self.packages:
            self.troubles.append(line)
        else:
            self.compiled += 1
        if time.monotonic() - self.told > BUILD_TOLD:
            self.told = time.monotonic()
            done = f"{self.compiled} of {self.packages} packages" if self.packages else f"{self.modules} modules"
            self.tell(f"  {self.name}: {done}")


def _run(command: list[str], progress: _Progress, folder: Path, environment: dict[str, str]) -> str:
    """What Go says. Raises: Unusable with its last words."""
    with (
        tempfile.TemporaryFile("w+") as output,
        subprocess.Popen(
            command, cwd=folder, env=environment, stdout=output, stderr=subprocess.PIPE, text=True
        ) as process,
    ):
        assert process.stderr
        for line in process.stderr:
            progress.hear(line)
        if process.wait():
            raise Unusable(f"{progress.name} could not be built: {''.join(progress.troubles)[-2000:].strip()}")
        output.seek(0)
        return output.read()
