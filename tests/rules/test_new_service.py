"""`./tulle new service`, run in a copy of the tree as docs/adding-a-service.md says."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from infra.cli import scaffold
from tests.rules.tree import ROOT

PAGE = (ROOT / "docs" / "adding-a-service.md").read_text()
COMMANDS = [line for line in PAGE.splitlines() if line.startswith(("./tulle new", "./tulle check", "./tulle test"))]


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tree as it is."""
    root = tmp_path_factory.mktemp("tree") / "t"
    ignored = shutil.ignore_patterns(".git", ".venv", ".tulle", "__pycache__", ".*_cache")
    return Path(shutil.copytree(ROOT, root, ignore=ignored))


def tulle(copy: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": f"{copy}{os.pathsep}{copy / 'codegen' / 'gen'}"}
    command = [sys.executable, "-m", "infra.cli", *arguments]
    return subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_page_works(copy: Path, command: str) -> None:
    """Each command of the page succeeds, one after the other."""
    done = tulle(copy, *command.split()[1:])
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_page_has_its_commands() -> None:
    """The page is read as its readers read it."""
    assert [command.split()[1] for command in COMMANDS] == ["new", "new", "check", "test"]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("users", "already"),
        ("gateway", "reserved"),
        ("class", "reserved"),
        ("Notes", "cannot name"),
        ("my_notes", "cannot name"),
        ("../notes", "cannot name"),
    ],
)
def test_a_bad_name_is_refused(copy: Path, name: str, why: str) -> None:
    """A name that cannot be has one sentence, status 2, and nothing is written."""
    before = sorted(copy.glob("services/*"))
    done = tulle(copy, "new", "service", name)
    assert (done.returncode, why in done.stderr, done.stderr.count("\n")) == (2, True, 1), done.stderr
    assert sorted(copy.glob("services/*")) == before


@pytest.mark.parametrize(
    ("service", "method", "why"),
    [
        ("users", "GetProfile", "already"),
        ("users", "getProfile", "cannot name"),
        ("users", "Get_Profile", "cannot name"),
        ("users", "Import", "reserved"),
        ("users", "Profile", "already"),
        ("auth", "CountAccounts", "several files"),
        ("nothing", "CountThings", "no service"),
    ],
)
def test_a_bad_method_is_refused(copy: Path, service: str, method: str, why: str) -> None:
    """A method that cannot be has one sentence, status 2, and nothing is written."""
    proto = copy / "protos/tulle/users/v1/users.proto"
    before = proto.read_text()
    done = tulle(copy, "new", "rpc", service, method)
    assert (done.returncode, why in done.stderr, done.stderr.count("\n")) == (2, True, 1), done.stderr
    assert proto.read_text() == before


def test_a_service_that_is_there_gets_a_method(copy: Path) -> None:
    """The method joins a service that was written by hand, and its test passes."""
    assert tulle(copy, "new", "rpc", "users", "CountFriends").returncode == 0
    done = tulle(copy, "test", "tests/unit/services/users", "-k", "for_who_asks")
    assert done.returncode == 0, done.stdout  # pytest's 5 would say that there was none


@pytest.mark.parametrize(
    ("name", "resource", "plural"),
    [("notes", "note", "notes"), ("entries", "entry", "entries"), ("billing", "billing_item", "billing_items")],
)
def test_a_name_gives_its_resource(name: str, resource: str, plural: str) -> None:
    """A plural names its resource; another name has items."""
    assert scaffold.names(ROOT, name) == scaffold.Names(name, resource, plural)
