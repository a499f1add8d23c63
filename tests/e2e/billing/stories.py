"""How each error that billing declares is provoked."""

from __future__ import annotations

from tests.e2e.stories import Stories

STORIES = Stories()
