"""Times as people write and read them at a terminal."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from infra.local.layout import Unusable

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def moment(text: str, now: datetime) -> datetime:
    """The time that `2026-01-31T08:00` (UTC unless it says otherwise) or `2h` (ago) means. Raises: Unusable."""
    if found := re.fullmatch(r"(\d{1,6})([smhd])", text):
        return now - timedelta(**{_UNITS[found[2]]: int(found[1])})
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise Unusable(f"{text!r} is no time: write 2026-01-31T08:00, or how long ago, such as 30m, 2h, 3d.") from error
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def ago(time: datetime) -> str:
    """How far a time is from now, in the largest unit that fits: `3 min ago`, `in 2 h`."""
    seconds = (datetime.now(UTC) - time).total_seconds()
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        if abs(seconds) >= size:
            return f"{seconds / size:.0f} {unit} ago" if seconds > 0 else f"in {-seconds / size:.0f} {unit}"
    return "now"
