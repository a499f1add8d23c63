"""A copy of the tree in which something can be tried, and whose changes the tree can take: all of them or none."""

from __future__ import annotations

import contextlib
import filecmp
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

_IGNORED = shutil.ignore_patterns(".git", ".venv*", ".tulle", "__pycache__", ".*_cache", ".hypothesis")
"""What is made, fetched or kept by tools."""


def copy(root: Path, into: Path) -> Path:
    """`into` as a tree like `root`, with the same environment: its `.venv` finds its own modules and stubs."""
    shutil.copytree(root, into, symlinks=True, ignore=_IGNORED)
    (into / ".venv").symlink_to(sys.prefix)
    return into


def changed(copied: Path, root: Path) -> list[Path]:
    """The files that are new or different in a copy, relative to it."""
    return sorted(path for path in files(copied) if not _same(copied / path, root / path))


def take(copied: Path, root: Path) -> list[Path]:
    """Have `root` take what is new or different in a copy of it. Raises: OSError, and has taken nothing."""
    paths, undo = changed(copied, root), contextlib.ExitStack()
    with undo:
        for path in paths:
            _remember(undo, root / path)
            shutil.copyfile(copied / path, root / path)
        undo.pop_all()
    return paths


def _remember(undo: contextlib.ExitStack, path: Path) -> None:
    """Have the file, and the folders that it needs, be as they were at the end of `undo`."""
    if path.exists():
        undo.callback(path.write_bytes, path.read_bytes())
        return
    for folder in reversed([folder for folder in path.parents if not folder.exists()]):
        folder.mkdir()
        undo.callback(folder.rmdir)
    undo.callback(path.unlink, missing_ok=True)


def files(root: Path) -> Iterator[Path]:
    """The files of a tree, relative to it."""
    for folder, folders, files in os.walk(root):
        ignored = _IGNORED(folder, [*folders, *files])
        folders[:] = [name for name in folders if name not in ignored]
        yield from ((Path(folder) / name).relative_to(root) for name in files if name not in ignored)


def _same(one: Path, other: Path) -> bool:
    return other.is_file() and filecmp.cmp(one, other, shallow=False)
