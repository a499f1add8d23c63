"""How each error that notifications declares is provoked: it declares none yet."""

from __future__ import annotations

from tests.e2e.stories import Stories

STORIES = Stories()
