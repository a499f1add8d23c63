"""Times as people write and read them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from infra.cli.times import ago, moment
from infra.local.layout import Unusable

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("30m", NOW - timedelta(minutes=30)),
        ("3d", NOW - timedelta(days=3)),
        ("2026-01-31T08:00", NOW - timedelta(hours=4)),
        ("2026-01-31T08:00+02:00", NOW - timedelta(hours=6)),
    ],
)
def test_a_time_is_a_date_or_a_distance(text: str, meant: datetime) -> None:
    """A date is in UTC unless it says otherwise, a distance counts from now."""
    assert moment(text, NOW) == meant


@pytest.mark.parametrize("text", ["", "yesterday", "5", "h", "-3h", "9999999d"])
def test_what_is_no_time_is_refused(text: str) -> None:
    """With a sentence that shows how to write one."""
    with pytest.raises(Unusable, match="is no time"):
        moment(text, NOW)


@pytest.mark.parametrize(("seconds", "said"), [(-200, "3 min ago"), (7300, "in 2 h"), (0, "now")])
def test_a_distance_is_told_in_its_largest_unit(seconds: int, said: str) -> None:
    """Nobody has to count seconds."""
    assert ago(datetime.now(UTC) + timedelta(seconds=seconds)) == said
