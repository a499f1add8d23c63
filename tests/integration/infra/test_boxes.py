"""The boxes' own programs, where a machine is not as they want it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from infra.local import account, boxes
from infra.local.layout import Unusable


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be a user whom /etc/passwd does not know")
def test_a_user_without_an_entry_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has no entry in /etc/passwd hears that in a sentence, and no password is left in a file."""
    monkeypatch.setattr(account, "NOBODY", account.UID)
    with pytest.raises(Unusable, match="no entry in /etc/passwd"):
        boxes.create_postgres(tmp_path / "postgres", "secret")
    assert not (tmp_path / "postgres.password").exists()
    assert not (tmp_path / "postgres").exists()
