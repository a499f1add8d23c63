"""Figures of the harness are printed at the end of a run, as those of the running stack's tests are."""

from tests.e2e.conftest import pytest_terminal_summary, tell

__all__ = ["pytest_terminal_summary", "tell"]
