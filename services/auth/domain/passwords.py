"""What a password must be (NIST SP 800-63B-4, 3.1.1): long enough and not easy to guess; nothing else."""

from __future__ import annotations

import itertools
import string
import unicodedata
from collections.abc import Container

from mesh.model import Violation
from services.auth.domain.errors import WeakPassword

ALONE = 15
"""Fewest characters of a password that stands alone."""
WITH_SECOND_FACTOR = 8
SHORTEST_CORE = 6
"""Fewest letters of a common password that makes one with digits around it common too."""
_AROUND = string.digits + string.punctuation + string.whitespace


def normalised(password: str) -> str:
    """The same password however a keyboard composed it (NFC)."""
    return unicodedata.normalize("NFC", password)


def check(password: str, email: str, second_factor: bool, common: Container[str], field: str) -> None:
    """Raises: WeakPassword naming `field` and what to do."""
    needed = WITH_SECOND_FACTOR if second_factor else ALONE
    if len(password) < needed:
        raise _weak(field, f"must have at least {needed} characters")
    lower = password.lower()
    if _guessable(lower, common):
        raise _weak(field, "is one of the first that an attacker tries")
    name = email.partition("@")[0].lower()
    if len(name) >= 4 and len(lower.replace(name, "").strip(_AROUND)) < needed // 2:
        raise _weak(field, "is little more than your address")


def _guessable(lower: str, common: Container[str]) -> bool:
    """Whether it is common, or common with digits around it, or something short said twice or more."""
    unit = _unit(lower)
    core = unit.strip(_AROUND)
    said_often = len(unit) < WITH_SECOND_FACTOR and 2 * len(unit) <= len(lower)
    return said_often or _sequence(unit) or any(one in common for one in (lower, unit, core))


def _unit(text: str) -> str:
    """What `text` repeats, whole or cut off at its end; `text` itself if it repeats nothing."""
    return next(text[:length] for length in range(1, len(text) + 1) if text[length:] == text[:-length])


def _sequence(text: str) -> bool:
    steps = {ord(after) - ord(before) for before, after in itertools.pairwise(text)}
    return steps in ({1}, {-1})


def _weak(field: str, why: str) -> WeakPassword:
    return WeakPassword(f"This password {why}.", violations=(Violation(field, why),))
