"""`./tulle new service` and `new rpc`, run in a copy of the tree as docs/adding-a-service.md says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from infra.cli import copies, names
from infra.cli.names import Names
from tests.copies import ROOT, Copy

PAGE = (ROOT / "docs" / "adding-a-service.md").read_text()
COMMANDS = re.findall(r"^\./tulle .*$", PAGE.partition("## What it wrote")[0], re.MULTILINE)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_page_works(copy: Copy, command: str) -> None:
    """Each command of the page's beginning succeeds, one after the other."""
    done = copy.tulle(*command.split()[1:])
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_page_has_its_commands() -> None:
    """The page is read as its readers read it."""
    assert [command.split()[1] for command in COMMANDS] == ["new", "new", "check", "test"]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("users", "there already"),
        ("objects", "there already"),
        ("gateway", "reserved"),
        ("mail", "reserved"),
        ("provisioner", "reserved"),
        ("select", "reserved"),
        ("class", "reserved"),
        ("none", "reserved"),
        ("list", "reserved"),
        ("pytest", "needs `pytest` for something else"),
        ("store", "needs `Store` for something else"),
        ("Auth", "cannot name"),
        ("2x", "cannot name"),
        ("my-notes", "cannot name"),
        ("my_notes", "cannot name"),
        ("../notes", "cannot name"),
        ("", "cannot name"),
    ],
)
def test_a_bad_name_is_refused(name: str, why: str) -> None:
    """A name that cannot be is refused with one sentence that says why."""
    with pytest.raises(names.Refused, match=why) as refused:
        names.names(ROOT, name)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ("service users", "already"),
        ("service class", "reserved"),
        ("rpc users GetProfile", "already"),
        ("rpc users getProfile", "cannot name"),
        ("rpc users Get_Profile", "cannot name"),
        ("rpc users Import", "reserved"),
        ("rpc users Profile", "already"),
        ("rpc auth SignUp", "already"),
        ("rpc nothing CountThings", "no service"),
    ],
)
def test_a_refusal_writes_nothing(copy: Copy, arguments: str, why: str) -> None:
    """What cannot be has one sentence and status 2, and every file is as it was."""
    before = copy.files()
    done = copy.tulle("new", *arguments.split())
    assert (done.returncode, why in done.stderr, done.stderr.count("\n")) == (2, True, 1), done.stderr
    assert copy.files() == before


@pytest.mark.parametrize("service", ["users", "auth"])
def test_a_service_that_is_there_gets_a_method(copy: Copy, service: str) -> None:
    """The method joins a service that was written by hand, be its domain one file or several, and its test passes."""
    done = copy.tulle("new", "rpc", service, "CountFriends")
    assert done.returncode == 0, done.stderr
    done = copy.tulle("test", f"tests/unit/services/{service}", "-k", "for_who_asks")
    assert done.returncode == 0, done.stdout  # pytest's 5 would say that there was none


def test_what_methods_were_given_is_whole(copy: Copy) -> None:
    """After all that, every static check passes."""
    done = copy.tulle("check")
    assert done.returncode == 0, done.stderr


def test_what_does_not_build_is_not_written(copy: Copy) -> None:
    """A template that makes a contract without a deadline says so, and every file is as it was."""
    template = copy.root / "infra/cli/templates/service/protos/tulle/NAME/v1/NAME.proto.tmpl"
    template.write_text(template.read_text().replace("deadline: {seconds: 3}\n", "\n"))
    before = copy.files()
    done = copy.tulle("new", "service", "tasks")
    assert (done.returncode, "nothing was written" in done.stderr, "deadline" in done.stderr) == (2, True, True)
    assert copy.files() == before


def test_what_is_stale_is_not_built_upon(copy: Copy) -> None:
    """Generated files that are not fresh are told first, and every file is as it was."""
    (copy.root / "docs" / "policy.md").write_text("old")
    before = copy.files()
    done = copy.tulle("new", "service", "tasks")
    assert (done.returncode, "not fresh" in done.stderr) == (2, True)
    assert copy.files() == before


def test_all_or_nothing_is_taken(tmp_path: Path) -> None:
    """A file that cannot be written undoes those that were: contents, files and folders."""
    tried, tree = tmp_path / "tried", tmp_path / "tree"
    for path in ("a", "b/c/d", "e/f"):
        (tried / path).parent.mkdir(parents=True, exist_ok=True)
        (tried / path).write_text("new")
    tree.mkdir()
    (tree / "a").write_text("old")
    (tree / "e").write_text("a file where a folder is needed")
    with pytest.raises(OSError, match="e"):
        copies.take(tried, tree)
    assert {path.name: path.read_text() for path in tree.iterdir()} == {
        "a": "old",
        "e": "a file where a folder is needed",
    }
    (tree / "e").unlink()
    assert copies.take(tried, tree) == [Path("a"), Path("b/c/d"), Path("e/f")]
    assert copies.changed(tried, tree) == []


@pytest.mark.parametrize(
    ("name", "resource"),
    [
        ("notes", "note"),
        ("entries", "entry"),
        ("boxes", "box"),
        ("orders", "order"),
        ("pricing", "pricing_item"),
        ("news", "news_item"),
        ("status", "status_item"),
        ("stores", "stores_item"),
        ("organisations", "organisations_item"),
        ("lists", "lists_item"),
    ],
)
def test_a_name_gives_its_resource(name: str, resource: str) -> None:
    """A plural names its resource, unless that is something else already; another name has items."""
    plural = f"{resource}s" if resource.endswith("_item") else name
    assert names.names(ROOT, name) == Names(name, resource, plural)
