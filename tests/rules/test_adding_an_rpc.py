"""docs/adding-an-rpc.md, followed to the letter in a copy of the tree."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.copies import ROOT, Copy

PAGE = (ROOT / "docs" / "adding-an-rpc.md").read_text()
EDIT = re.compile(
    r"^In `(?P<path>[^`]+)`, (?:before `(?P<before>[^`]+)`|at the end):\n\n```\w+\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
COMMANDS = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def edited(copy: Copy) -> Copy:
    """The tree with all edits of the page made."""
    for edit in EDIT.finditer(PAGE):
        change(copy.root / edit["path"], edit["before"], edit["text"])
    return copy


def change(path: Path, before: str | None, text: str) -> None:
    """Insert `text` before the one line that begins with `before`, or at the end."""
    old = path.read_text()
    if before is None:
        path.write_text(old + text)
        return
    assert old.count(f"\n{before}") == 1, f"{path} must have one line that begins with {before!r}"
    path.write_text(old.replace(f"\n{before}", f"\n{text}{before}"))


@pytest.mark.parametrize("command", [line for block in COMMANDS.findall(PAGE) for line in block.splitlines()])
def test_the_page_works(edited: Copy, command: str) -> None:
    """Each command of the page succeeds in a tree with the changes of the page."""
    launcher, *arguments = command.split()
    assert launcher == "./tulle"
    done = edited.tulle(*arguments)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_page_has_its_edits() -> None:
    """The page is read as its readers read it: ten changes and three commands."""
    assert (len(EDIT.findall(PAGE)), sum(block.count("\n") for block in COMMANDS.findall(PAGE))) == (10, 3)
