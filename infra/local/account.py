"""PostgreSQL refuses to run as root: then it runs as a user of its own that can do nothing else."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from infra.local.layout import Unusable

UID = 54320
"""No entry of /etc/passwd needs it, so nothing outside our folders changes."""
NOBODY = 65534
"""initdb alone wants a user that /etc/passwd knows; this one is in every distribution."""


def needed() -> bool:
    """Whether we are root."""
    return os.geteuid() == 0


def prefix(uid: int, *paths: Path) -> list[str]:
    """What to put before a command so that it runs as `uid`; nothing if we are not root.

    A folder above `paths` may be closed to others (a clone below /root): then the process may pass
    through folders that it could not open otherwise, instead of our opening them to everybody.
    """
    if not needed():
        return []
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise Unusable(
            "PostgreSQL does not run as root and setpriv (util-linux) is missing; run ./tulle as another user."
        )
    command = [setpriv, f"--reuid={uid}", f"--regid={uid}", "--clear-groups"]
    if all(map(_open_to_others, paths)):
        return [*command, "--"]
    # access(2) forgets capabilities of those who were not born root, unless told otherwise.
    passing = (
        "--securebits=+no_setuid_fixup",
        "--inh-caps=-all,+dac_read_search",
        "--ambient-caps=-all,+dac_read_search",
    )
    return [*command, *passing, "--"]


def give(path: Path, uid: int) -> None:
    """Make `uid` the owner of a file, or of a folder and all that is in it; nothing if we are not root."""
    if needed():
        os.chown(path, uid, uid, follow_symlinks=False)
        for folder, _, files in os.walk(path):
            for name in (".", *files):
                os.chown(Path(folder, name), uid, uid, follow_symlinks=False)


def _open_to_others(path: Path) -> bool:
    return all(parent.stat().st_mode & 0o001 for parent in path.resolve().parents)
