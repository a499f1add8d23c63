"""What buf says of the protos: its lint rules (buf.yaml) and its one format."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from codegen.compile import BIN
from codegen.rules.finding import Finding

BUF = BIN / "buf"


def lint(compiled: Path, config: Path) -> Iterator[Finding]:
    """buf's findings in our files of a compiled descriptor set; the imports are others' business."""
    lines = _run("lint", str(compiled), "--config", str(config), "--path", "tulle", "--error-format", "json")
    for line in lines:
        found = json.loads(line)
        where = f"protos/{found['path']}:{found.get('start_line', 1)}"
        yield Finding(where, found["message"], f"see {found['type']} in buf's list of rules")


def formatted(protos: Path) -> Iterator[Finding]:
    """Files that `buf format` would change."""
    for line in _run("format", "--diff", str(protos)):
        if match := re.match(r"\+\+\+ (?:.*?)(tulle/\S+\.proto)", line):
            yield Finding(f"protos/{match[1]}:1", "is not in buf's format", "buf format -w protos")


def _run(*arguments: str) -> list[str]:
    """Lines of buf's answer. Raises: RuntimeError if it says nothing but failed."""
    done = subprocess.run([str(BUF), *arguments], capture_output=True, text=True, check=False, timeout=60)
    if done.returncode and not done.stdout:
        raise RuntimeError(f"buf {arguments[0]} failed: {done.stderr.strip()}")
    return done.stdout.splitlines()
