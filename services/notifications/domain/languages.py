"""Languages in which people are told things."""

from __future__ import annotations

from collections.abc import Container, Iterator

DEFAULT = "en"


def nearest(locale: str, known: Container[str]) -> str:
    """Of the known languages the nearest to a locale: de-AT, then de, then English."""
    return next((name for name in _nearer(locale) if name in known), DEFAULT)


def _nearer(locale: str) -> Iterator[str]:
    """The locale, without its last part, and so on (RFC 4647, 3.4)."""
    parts = locale.split("-")
    return ("-".join(parts[:count]) for count in range(len(parts), 0, -1))
