"""What `./tulle new` writes runs: the stack of a copy of the tree obeys every law, and serves it at the gateway."""

from __future__ import annotations

import re

import psutil
import pytest

from tests.copies import ROOT, Copy

PAGE = (ROOT / "docs" / "adding-a-service.md").read_text()
COMMANDS = re.findall(r"^\./tulle (?:new |test tests/e2e/).*$", PAGE, re.MULTILINE)
"""What writes it, and what tries it on a running stack: its own tests, matrix, objects, errors."""


@pytest.mark.parametrize("command", COMMANDS)
def test_the_page_works(copy: Copy, command: str) -> None:
    """Each command of the page succeeds, one after the other, and leaves nothing running."""
    done = copy.tulle(*command.split()[1:])
    assert done.returncode == 0, done.stdout + done.stderr
    assert [process for process in psutil.process_iter() if _of(copy, process)] == []


def _of(copy: Copy, process: psutil.Process) -> bool:
    try:
        return any(str(copy.root) in argument for argument in process.cmdline())
    except psutil.Error:
        return False


def test_the_page_has_its_commands() -> None:
    """The page is read as its readers read it."""
    assert [command.split()[1] for command in COMMANDS] == ["new", "new", "test"]
