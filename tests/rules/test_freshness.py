"""What is committed is what the contract makes."""

from __future__ import annotations

from codegen import build


def test_generated_files_are_fresh() -> None:
    """Every generated file is as `python -m codegen` makes it, and nothing else is in gen/."""
    built = build.build()
    assert (build.stale(built), build.stray(built)) == ([], []), "run `python -m codegen` and commit what it changes"
