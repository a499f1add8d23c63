"""Quiet hours by the clock on the wall, which is put forward and back."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notifications.domain.quiet import QuietHours, next_time

NIGHT = QuietHours(time(22), time(7))
CHANGES = {
    "Europe/Lisbon": [datetime(2026, 3, 29, 1, tzinfo=UTC), datetime(2026, 10, 25, 1, tzinfo=UTC)],
    "Europe/Berlin": [datetime(2026, 3, 29, 1, tzinfo=UTC), datetime(2026, 10, 25, 1, tzinfo=UTC)],
    "America/Sao_Paulo": [datetime(2018, 11, 4, 3, tzinfo=UTC), datetime(2019, 2, 17, 2, tzinfo=UTC)],
    "Australia/Lord_Howe": [datetime(2026, 4, 4, 15, tzinfo=UTC), datetime(2026, 10, 3, 15, 30, tzinfo=UTC)],
    "Africa/Casablanca": [datetime(2026, 2, 15, 2, tzinfo=UTC), datetime(2026, 3, 22, 2, tzinfo=UTC)],
    "Pacific/Apia": [datetime(2011, 12, 30, 10, tzinfo=UTC)],
    "UTC": [datetime(2026, 6, 1, tzinfo=UTC)],
}
"""Zones and when their clocks are put forward or back: by an hour, by half of one, at midnight, by a day."""

minutes = st.integers(0, 24 * 60 - 1).map(lambda minute: time(minute // 60, minute % 60))
hours = st.tuples(minutes, minutes).filter(lambda pair: pair[0] != pair[1]).map(lambda pair: QuietHours(*pair))
moments = st.sampled_from([(zone, change) for zone, changes in CHANGES.items() for change in changes]).flatmap(
    lambda place: st.integers(-60 * 60, 60 * 60).map(lambda minute: (place[0], place[1] + timedelta(minutes=minute)))
)


def wall(moment: datetime, zone: str) -> datetime:
    return moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None, fold=0)


def says_quiet(quiet: QuietHours, moment: datetime, zone: str) -> bool:
    """What somebody who looks at the wall would say."""
    shown = wall(moment, zone).time()
    if quiet.start < quiet.end:
        return quiet.start <= shown < quiet.end
    return shown >= quiet.start or shown < quiet.end


def steady(moment: datetime, zone: str) -> bool:
    """Whether nobody touches the clock for two days to each side."""
    around = (moment + timedelta(days=days) for days in (-2, -1, 0, 1, 2))
    return len({one.astimezone(ZoneInfo(zone)).utcoffset() for one in around}) == 1


@given(hours, moments)
def test_quiet_is_what_the_wall_says(quiet: QuietHours, place: tuple[str, datetime]) -> None:
    """Whenever the clock shows a quiet time, it is quiet; where clocks are left alone, at no other time."""
    zone, moment = place
    until = quiet.until(moment, zone)
    if says_quiet(quiet, moment, zone):
        assert until
    elif steady(moment, zone):
        assert until is None


@given(hours, moments)
def test_quiet_ends(quiet: QuietHours, place: tuple[str, datetime]) -> None:
    """At the end that is named the quiet is over, it lasts from now to then, and not much longer than a day.

    An hour or a day that the clock skips can leave nothing between two nights, which are one then.
    """
    zone, moment = place
    until = quiet.until(moment, zone)
    if until is None:
        return
    assert moment < until <= moment + timedelta(hours=25 if steady(moment, zone) else 49)
    assert quiet.until(until, zone) is None
    assert not says_quiet(quiet, until, zone)
    assert quiet.until(until - timedelta(seconds=1), zone) == until
    assert quiet.until(moment + (until - moment) / 2, zone) == until
    if steady(moment, zone):
        assert wall(until, zone).time() == quiet.end


@given(minutes, moments)
def test_a_time_of_day_comes_again(at: time, place: tuple[str, datetime]) -> None:
    """It comes within a day and what clocks are put back by, and the clock shows it unless it is skipped."""
    zone, moment = place
    coming = next_time(moment, at, zone)
    assert moment < coming <= moment + timedelta(hours=25 if zone != "Pacific/Apia" else 48)
    if steady(moment, zone):
        assert wall(coming, zone).time() == at


@pytest.mark.parametrize(
    ("zone", "now", "until"),
    [
        ("Europe/Berlin", "2026-01-10T22:00+01:00", "2026-01-11T07:00+01:00"),
        ("Europe/Berlin", "2026-01-10T06:59:59+01:00", "2026-01-10T07:00+01:00"),
        ("Europe/Berlin", "2026-01-10T07:00+01:00", None),
        ("Europe/Berlin", "2026-03-28T23:00+01:00", "2026-03-29T07:00+02:00"),
        ("Europe/Berlin", "2026-10-24T23:00+02:00", "2026-10-25T07:00+01:00"),
        ("no/such", "2026-01-10T22:00+00:00", "2026-01-11T07:00+00:00"),
    ],
)
def test_a_night(zone: str, now: str, until: str | None) -> None:
    """From ten to seven by the wall, be the night an hour longer or shorter."""
    assert NIGHT.until(datetime.fromisoformat(now), zone) == (until and datetime.fromisoformat(until))


@pytest.mark.parametrize(
    ("end", "now", "until"),
    [
        (time(2, 30), "2026-03-29T01:30+01:00", "2026-03-29T03:00+02:00"),
        (time(2, 30), "2026-10-25T02:15+02:00", "2026-10-25T02:30+01:00"),
        (time(2, 30), "2026-10-25T02:45+02:00", "2026-10-25T02:30+01:00"),
    ],
)
def test_an_end_that_is_skipped_or_comes_twice(end: time, now: str, until: str) -> None:
    """An end that the clock skips is where it goes on; of one that comes twice, the second counts."""
    quiet = QuietHours(time(22), end)
    assert quiet.until(datetime.fromisoformat(now), "Europe/Berlin") == datetime.fromisoformat(until)


def test_a_night_that_lies_in_the_gap_is_none() -> None:
    """Quiet from 2:10 to 2:50 does not happen when the clock goes from 2 to 3."""
    quiet = QuietHours(time(2, 10), time(2, 50))
    for minute in range(0, 180, 5):
        moment = datetime(2026, 3, 29, 0, 0, tzinfo=UTC) + timedelta(minutes=minute)
        assert quiet.until(moment, "Europe/Berlin") is None
