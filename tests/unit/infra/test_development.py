"""What the verbs of development end with."""

from __future__ import annotations

import pytest

from infra.cli.development import NO_TESTS, worst


@pytest.mark.parametrize(("codes", "expected"), [([0, 0], 0), ([0, 1], 1), ([-11, 0], 11), ([], NO_TESTS)])
def test_what_fails_or_is_killed_fails_the_whole(codes: list[int], expected: int) -> None:
    """A run is green if each of its processes is: one that a signal has ended is not."""
    assert worst(codes, none=NO_TESTS) == expected
