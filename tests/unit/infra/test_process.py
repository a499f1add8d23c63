"""What a process says at its end is kept for people."""

from __future__ import annotations

from pathlib import Path

from infra.local.process import last_words


def test_a_crash_says_why(tmp_path: Path) -> None:
    """The reason of a crash is told, not the addresses that follow it."""
    log = tmp_path / "log"
    log.write_text("one\n[critical][assert] inotify_fd_ >= 0\n" + "[critical][backtrace] #0: [0x7f]\n" * 9)
    assert last_words(log) == ["one", "[critical][assert] inotify_fd_ >= 0"]


def test_nothing_said_is_nothing(tmp_path: Path) -> None:
    """A process that wrote no log has no last words."""
    assert last_words(tmp_path / "log") == []
