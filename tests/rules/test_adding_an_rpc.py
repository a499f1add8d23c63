"""docs/adding-an-rpc.md, followed to the letter in a copy of the tree."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.rules.tree import ROOT

PAGE = (ROOT / "docs" / "adding-an-rpc.md").read_text()
EDIT = re.compile(
    r"^In `(?P<path>[^`]+)`, (?:before `(?P<before>[^`]+)`|at the end):\n\n```\w+\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
COMMANDS = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tree with all edits of the page made."""
    root = tmp_path_factory.mktemp("tree") / "t"
    shutil.copytree(ROOT, root, ignore=shutil.ignore_patterns(".git", ".venv", ".tulle", "__pycache__", ".*_cache"))
    for edit in EDIT.finditer(PAGE):
        change(root / edit["path"], edit["before"], edit["text"])
    return root


def change(path: Path, before: str | None, text: str) -> None:
    """Insert `text` before the one line that begins with `before`, or at the end."""
    old = path.read_text()
    if before is None:
        path.write_text(old + text)
        return
    assert old.count(f"\n{before}") == 1, f"{path} must have one line that begins with {before!r}"
    path.write_text(old.replace(f"\n{before}", f"\n{text}{before}"))


@pytest.mark.parametrize("command", [line for block in COMMANDS.findall(PAGE) for line in block.splitlines()])
def test_the_page_works(copy: Path, command: str) -> None:
    """Each command of the page succeeds in a tree with the changes of the page."""
    launcher, verb, *arguments = command.split()
    assert launcher == "./tulle"
    environment = {**os.environ, "PYTHONPATH": f"{copy}{os.pathsep}{copy / 'codegen' / 'gen'}"}
    done = subprocess.run(
        # `./tulle` makes an environment first; here there is one already.
        [sys.executable, "-m", "infra.cli", verb, *arguments],
        cwd=copy,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_page_has_its_edits() -> None:
    """The page is read as its readers read it: ten changes and three commands."""
    assert (len(EDIT.findall(PAGE)), sum(block.count("\n") for block in COMMANDS.findall(PAGE))) == (10, 3)
