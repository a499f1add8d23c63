"""Baselines, exceptions and releases, on a copy of the tree."""

from __future__ import annotations

import datetime
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from codegen import build
from codegen.breaking import baseline
from codegen.breaking.__main__ import since
from codegen.breaking.baseline import BadBaseline, judged
from codegen.breaking.breaks import Break
from codegen.breaking.release import NoRelease, release
from tests.copies import copy_of_tree

TODAY = datetime.date(2026, 1, 31)
USERS = "protos/tulle/users/v1/users.proto"
BROKEN = "deadline tulle.users.v1.UsersService/GetProfile"


def git(root: Path, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=root, capture_output=True, check=True)


@pytest.fixture
def tree() -> Iterator[Path]:
    """The files of the project in a repository of their own, all committed, released as 0.4.0."""
    with copy_of_tree() as made:
        root = made.root
        changelog = root / "CHANGELOG.md"
        changelog.write_text("# Changelog\n\n## Unreleased\n\n### Added\n- Everything.\n")
        baseline.write(root, "0.4.0", (root / build.GEN / "contract.binpb").read_bytes())
        git(root, "init", "-q")
        commit(root)
        yield root


def commit(root: Path) -> None:
    git(root, "add", "-A")
    git(root, "-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "-q", "-m", "all of it")


def shorten_a_deadline(root: Path) -> None:
    """Break the contract, with everything generated from it as it must be."""
    text = (root / USERS).read_text()
    at = text.index("rpc GetProfile(")
    (root / USERS).write_text(text[:at] + text[at:].replace("deadline: {seconds: 2}", "deadline: {seconds: 1}", 1))
    build.write(build.build(root), root)
    commit(root)


def test_a_release_is_what_later_changes_are_held_against(tree: Path) -> None:
    """It writes baseline, changelog and version; then nothing is broken, and the next one must be greater."""
    release(tree, "0.4.1", TODAY)
    assert baseline.load(tree).version == "0.4.1"
    assert "## Unreleased\n\n## 0.4.1 - 2026-01-31\n\n### Added\n- Everything.\n" in (tree / "CHANGELOG.md").read_text()
    assert 'version = "0.4.1"' in (tree / "pyproject.toml").read_text()
    assert since(baseline.load(tree), tree) == []
    with pytest.raises(NoRelease, match="not committed"):
        release(tree, "0.4.2", TODAY)
    commit(tree)
    for version, why in (("0.4.1", "greater"), ("0.4.2", "CHANGELOG"), ("0.4", "no version"), ("0.04.2", "no version")):
        with pytest.raises(NoRelease, match=why):
            release(tree, version, TODAY)


def test_a_break_needs_a_reason_and_a_version(tree: Path) -> None:
    """A break stops a release until an exception says why, and the version says that something broke."""
    shorten_a_deadline(tree)
    assert [one.name for one in since(baseline.load(tree), tree)] == [BROKEN]
    with pytest.raises(NoRelease, match="tulle breaking"):
        release(tree, "0.5.0", TODAY)
    (tree / baseline.FOLDER / "exceptions.toml").write_text(f'["{BROKEN}"]\nreason = "Nobody waits that long."\n')
    commit(tree)
    with pytest.raises(NoRelease, match="another minor version"):
        release(tree, "0.4.1", TODAY)
    release(tree, "0.5.0", TODAY)
    assert baseline.load(tree).exceptions == {}
    assert since(baseline.load(tree), tree) == []


def breaking(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """What `./tulle breaking` runs."""
    command = [sys.executable, "-m", "codegen.breaking", *arguments]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)


def test_the_verb_tells_people_and_programs(tree: Path) -> None:
    """It succeeds when nothing is broken; else it fails and names what, where, whom and what instead."""
    done = breaking(tree)
    assert (done.returncode, done.stdout) == (0, "nothing is broken since 0.4.0\n")
    shorten_a_deadline(tree)
    done = breaking(tree, "--json")
    (told,) = json.loads(done.stdout)["breaks"]
    assert (done.returncode, told["name"]) == (1, BROKEN)
    place, _, line = told["where"].partition(":")
    assert "rpc GetProfile(" in (tree / place).read_text().splitlines()[int(line) - 1]
    assert told["whom"]
    assert told["instead"]


def test_the_verb_fails_without_a_baseline_and_on_idle_exceptions(tree: Path) -> None:
    """Neither a missing release nor an exception that allows nothing passes."""
    exceptions = tree / baseline.FOLDER / "exceptions.toml"
    exceptions.write_text('["deadline tulle.a"]\nreason = "It was needed once."\n')
    done = breaking(tree)
    assert done.returncode == 1
    assert "allows nothing; delete it" in done.stderr
    (tree / baseline.FOLDER / "contract.binpb").unlink()
    done = breaking(tree, "--json")
    assert done.returncode == 1
    assert "contract.binpb is missing" in done.stderr


def test_what_is_stale_is_not_released(tree: Path) -> None:
    """Generated files must be as the contract has them."""
    (tree / "docs" / "policy.md").write_text("old")
    commit(tree)
    with pytest.raises(NoRelease, match=r"docs/policy\.md is stale"):
        release(tree, "0.4.1", TODAY)


def test_a_missing_baseline_is_a_failure(tmp_path: Path) -> None:
    """Without the last release the check fails and says what to do; it does not pass."""
    with pytest.raises(BadBaseline, match="is missing"):
        baseline.load(tmp_path)


@pytest.mark.parametrize(
    "text",
    ['["a b"]\n', '["a b"]\nreason = "because"\n', '["a b"]\nreason = 1\n', '"a b" = "no table"\n', "["],
)
def test_an_exception_has_a_reason(tmp_path: Path, text: str) -> None:
    """An exception without a reason that somebody can read is refused, by name."""
    baseline.write(tmp_path, "1.0.0", b"")
    (tmp_path / baseline.FOLDER / "exceptions.toml").write_text(text)
    with pytest.raises(BadBaseline, match=r"exceptions\.toml"):
        baseline.load(tmp_path)


def test_an_exception_allows_what_it_names() -> None:
    """A break by that name passes, any other does not, and an exception without its break is told."""
    one, other = (Break(subject, "deadline", "", "", "") for subject in ("tulle.a", "tulle.b"))
    assert judged([one, other], {"deadline tulle.a": "why", "deadline tulle.c": "why"}) == (
        [other],
        ["deadline tulle.c"],
    )
