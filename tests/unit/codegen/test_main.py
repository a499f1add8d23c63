"""`python -m codegen`, as its exit status and words."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from codegen import __main__ as command
from codegen import build
from codegen.build import BadContract
from codegen.rules.finding import Finding


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str, built: Mapping[str, bytes] | Exception) -> int:
    """Run the command with a build that is known, or that fails."""

    def make() -> Mapping[str, bytes]:
        if isinstance(built, Exception):
            raise built
        return built

    monkeypatch.setattr(build, "build", make)
    monkeypatch.setattr("sys.argv", ["codegen", *arguments])
    return command.main()


def test_a_stale_file_fails_the_check(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """--check names each stale or stray file and the command that mends it, and writes nothing."""
    assert run(monkeypatch, "--check", built={"codegen/gen/new.json": b"{}"}) == 1
    said = capsys.readouterr().err
    assert "codegen/gen/new.json: is stale or missing" in said
    assert "codegen/gen/contract.binpb: is made by nothing" in said
    assert "python -m codegen" in said
    assert not (build.ROOT / "codegen/gen/new.json").exists()


def test_a_bad_contract_fails_with_place_and_fix(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Findings go to stderr, and nothing is written."""
    assert run(monkeypatch, built=BadContract([Finding("protos/a.proto:3", "is wrong", "mend it")])) == 1
    assert capsys.readouterr().err == "protos/a.proto:3: is wrong\n    fix: mend it\n"
