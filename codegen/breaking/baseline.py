"""The last release: its contract, its version, and the breaks that have been allowed since."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from codegen.breaking.breaks import Break

FOLDER = "codegen/baseline"
NO_EXCEPTIONS = """\
# Breaks of the contract that are meant, each with its reason, until the next release:
#
# ["ASPECT NAME"]
# reason = "why, and how those whom it hurts have been told"
#
# The names are those that `./tulle breaking` tells.
"""


class BadBaseline(Exception):
    """The baseline or its exceptions cannot be used; the message says why and what to do."""


@dataclass(frozen=True)
class Baseline:
    """`contract`: the descriptor set of the release `version`. `exceptions`: reasons by names of breaks."""

    version: str
    contract: bytes
    exceptions: Mapping[str, str]


def load(root: Path) -> Baseline:
    """The baseline of the tree at `root`. Raises: BadBaseline."""
    folder = root / FOLDER
    try:
        version = (folder / "VERSION").read_text().strip()
        contract = (folder / "contract.binpb").read_bytes()
    except FileNotFoundError as error:
        raise BadBaseline(
            f"{FOLDER}/{Path(error.filename).name} is missing: without the last release nobody can tell what a change "
            "breaks. Take it from git, or make a first release with ./tulle release."
        ) from None
    return Baseline(version, contract, _exceptions(folder / "exceptions.toml"))


def write(root: Path, version: str, contract: bytes) -> None:
    """Make `contract` the baseline, as release `version`, with nothing excepted."""
    folder = root / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "VERSION").write_text(f"{version}\n")
    (folder / "contract.binpb").write_bytes(contract)
    (folder / "exceptions.toml").write_text(NO_EXCEPTIONS)


def _exceptions(file: Path) -> Mapping[str, str]:
    try:
        said = tomllib.loads(file.read_text()) if file.exists() else {}
    except tomllib.TOMLDecodeError as error:
        raise BadBaseline(f"{FOLDER}/{file.name}: {error}") from None
    return {name: _reason(name, value) for name, value in said.items()}


def _reason(name: str, value: object) -> str:
    reason = value.get("reason") if isinstance(value, dict) else None
    if not isinstance(reason, str) or len(reason.split()) < 3:
        raise BadBaseline(f'{FOLDER}/exceptions.toml: ["{name}"] needs a reason that somebody can read: reason = "…"')
    return reason


def judged(found: list[Break], exceptions: Mapping[str, str]) -> tuple[list[Break], list[str]]:
    """(breaks that nothing allows, exceptions that allow nothing)"""
    names = {one.name for one in found}
    return [one for one in found if one.name not in exceptions], sorted(exceptions.keys() - names)
