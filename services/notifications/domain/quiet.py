"""Quiet hours: from one time of day to another, on the clock that hangs on a person's wall.

That clock is put forward and back, and now and then skips a day. A night begins when its first time
is reached for the first time, and ends when its last one is passed for the last time: whenever the
wall says that it is quiet, it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class QuietHours:
    """From `start` to before `end`; over midnight if `end` is the earlier one. Never the same."""

    start: time
    end: time

    def until(self, now: datetime, zone: str) -> datetime | None:
        """When the quiet ends in which `now` falls; None if it falls in none."""
        nights = [self._night(now.astimezone(zone_of(zone)).date() + days * DAY, zone) for days in range(-2, 3)]
        end = now
        for begins, ends in nights:
            # A skipped day can join two nights into one.
            if begins <= end < ends:
                end = ends
        return end if end > now else None

    def _night(self, day: date, zone: str) -> tuple[datetime, datetime]:
        last = day if self.start < self.end else day + DAY
        return reached(datetime.combine(day, self.start), zone), passed(datetime.combine(last, self.end), zone)


def reached(wall: datetime, zone: str) -> datetime:
    """The first moment at which the zone's clock shows `wall`, or more where it skips that."""
    first, second = _both(wall, zone)
    return first if first <= second else _skip(second, first, zone)


def passed(wall: datetime, zone: str) -> datetime:
    """The last such moment."""
    first, second = _both(wall, zone)
    return second if first <= second else _skip(second, first, zone)


def next_time(now: datetime, at: time, zone: str) -> datetime:
    """The next moment after `now` at which the zone's clock reaches `at`."""
    today = now.astimezone(zone_of(zone)).date()
    moments = (reached(datetime.combine(today + days * DAY, at), zone) for days in range(-1, 4))
    return min(moment for moment in moments if moment > now)


@cache
def zone_of(name: str) -> ZoneInfo:
    """The zone of a profile; UTC for one that this machine does not know."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo("UTC")


def _both(wall: datetime, zone: str) -> tuple[datetime, datetime]:
    """With the offset from before a change of the clock, and from after it: in a gap the former is later."""
    local = wall.replace(tzinfo=zone_of(zone))
    return local.astimezone(UTC), local.replace(fold=1).astimezone(UTC)


def _skip(before: datetime, after: datetime, zone: str) -> datetime:
    """When the clock is put forward between these two."""
    info, old = zone_of(zone), before.astimezone(zone_of(zone)).utcoffset()
    while after - before > SECOND:
        middle = before + timedelta(seconds=(after - before) // SECOND // 2)
        before, after = (middle, after) if middle.astimezone(info).utcoffset() == old else (before, middle)
    return after
