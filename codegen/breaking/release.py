"""`python -m codegen.breaking.release VERSION`: hold later changes against the contract of now."""

from __future__ import annotations

import argparse
import datetime
import re
import subprocess
import sys
from pathlib import Path

from codegen import build
from codegen.breaking import baseline
from codegen.breaking.__main__ import since
from codegen.breaking.baseline import BadBaseline, Baseline
from codegen.compile import CompileError

Version = tuple[int, int, int]


class NoRelease(Exception):
    """This cannot be released; the message says why and what to do."""


def main() -> int:
    """Release, or say in a sentence why not."""
    parser = argparse.ArgumentParser(prog="./tulle release", description=__doc__)
    parser.add_argument("version", help="such as 1.2.0 (SemVer)")
    version = parser.parse_args().version
    try:
        release(build.ROOT, version, datetime.date.today())
    except (NoRelease, BadBaseline, CompileError, build.BadContract) as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{version} is prepared: look at it with git diff, commit it, and tag the commit v{version}.")
    return 0


def release(root: Path, version: str, today: datetime.date) -> None:
    """Write baseline, changelog and version of the tree at `root`, all or nothing.

    Raises: NoRelease if the tree is not clean and fresh, or if the version does not say what has changed.
    """
    number = _parsed(version)
    _require_clean(root)
    built = build.build(root)
    if old := build.stale(built, root):
        raise NoRelease(f"{old[0]} is stale; run ./tulle codegen and commit what it changes.")
    if (root / baseline.FOLDER / "VERSION").exists():
        _require_fitting(baseline.load(root), number, root)
    changelog = _released((root / "CHANGELOG.md").read_text(), version, today)
    pyproject = _versioned((root / "pyproject.toml").read_text(), version)
    baseline.write(root, version, built[f"{build.GEN}/contract.binpb"])
    (root / "CHANGELOG.md").write_text(changelog)
    (root / "pyproject.toml").write_text(pyproject)


def _parsed(version: str) -> Version:
    if not re.fullmatch(r"(0|[1-9]\d*)(\.(0|[1-9]\d*)){2}", version):
        raise NoRelease(f"{version} is no version; write it as MAJOR.MINOR.PATCH, such as 1.2.0.")
    major, minor, patch = map(int, version.split("."))
    return major, minor, patch


def _require_clean(root: Path) -> None:
    status = ["git", "status", "--porcelain"]
    changed = subprocess.run(status, cwd=root, capture_output=True, text=True, check=True).stdout
    if changed:
        raise NoRelease(f"There are changes that are not committed, such as `{changed.split()[1]}`; commit them first.")


def _require_fitting(last: Baseline, new: Version, root: Path) -> None:
    """SemVer: a break needs a new major version, or while that is 0 a new minor one."""
    before = _parsed(last.version)
    if new <= before:
        raise NoRelease(f"The last release was {last.version}; the next must be greater.")
    found = since(last, root)
    breaks, unused = baseline.judged(found, last.exceptions)
    if breaks or unused:
        raise NoRelease("The contract breaks what nothing allows, or excepts what is not broken; see ./tulle breaking.")
    significant = 1 if before[0] == 0 and new[0] == 0 else 0
    if found and new[: significant + 1] == before[: significant + 1]:
        part = "minor" if significant else "major"
        raise NoRelease(f"It breaks {found[0].name}: SemVer wants another {part} version than {last.version}.")


def _released(changelog: str, version: str, today: datetime.date) -> str:
    head, mark, rest = changelog.partition("## Unreleased\n")
    if not mark or not rest.split("\n## ")[0].strip():
        raise NoRelease("CHANGELOG.md has nothing under `## Unreleased`: say what has changed for users.")
    return f"{head}## Unreleased\n\n## {version} - {today.isoformat()}\n{rest}"


def _versioned(pyproject: str, version: str) -> str:
    return re.sub(r'(?m)^version = ".*"$', f'version = "{version}"', pyproject, count=1)


if __name__ == "__main__":
    sys.exit(main())
