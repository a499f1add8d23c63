"""What all tests share: one PostgreSQL, from which each test gets a database of its own; copies of the tree."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.copies import Copy, copy_of_tree
from tests.servers import Postgres


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server with the schemas of all services."""
    folder = Path(tempfile.mkdtemp(prefix="tulle-pg-"))
    folder.chmod(0o711)  # as root, the server is another user, who reaches its data through it
    server = Postgres(folder)
    server.create()
    server.start()
    try:
        server.make_template()
        yield server
    finally:
        server.crash()
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def copy() -> Iterator[Copy]:
    """A copy of the tree for the tests of a module, which change it one after the other."""
    with copy_of_tree() as made:
        yield made
