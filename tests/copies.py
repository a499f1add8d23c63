"""Copies of the tree, for what changes it."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from infra.cli import copies

ROOT = Path(__file__).parent.parent
TYPES = ".mypy_cache"


@dataclass(frozen=True)
class Copy:
    """A copy of the tree with our environment, to be changed at will."""

    root: Path

    def tulle(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """What `./tulle` does there; an interruption is left to it, so that what it started ends with it."""
        command = [str(self.root / ".venv" / "bin" / "python"), "-m", "infra.cli", *arguments]
        environment = {**os.environ, "PYTHONPATH": f"{self.root}{os.pathsep}{self.root / 'codegen' / 'gen'}"}
        pipe = subprocess.PIPE
        with subprocess.Popen(command, cwd=self.root, env=environment, stdout=pipe, stderr=pipe, text=True) as process:
            out, err = process.communicate()
        return subprocess.CompletedProcess(command, process.returncode, out, err)

    def files(self) -> dict[Path, bytes]:
        """Everything that is in it, but for what tools keep."""
        return {path: (self.root / path).read_bytes() for path in copies.files(self.root)}


@contextlib.contextmanager
def copy_of_tree() -> Iterator[Copy]:
    """A new copy, which is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="tulle-copy-") as folder:
        # As root, PostgreSQL is another user, who reaches its programs through it.
        Path(folder).chmod(0o711)
        made = Copy(copies.copy(ROOT, Path(folder) / "tree"))
        if (ROOT / TYPES).exists():  # What was looked at here is not looked at again there.
            shutil.copytree(ROOT / TYPES, made.root / TYPES)
        yield made
