"""What all tests share: one PostgreSQL, from which each test gets a database of its own; copies of the tree."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from tests.copies import Copy, copy_of_tree
from tests.servers import Postgres

# A busy machine is no error. What is tried is left to chance, but for CI, which judges a change and not its luck.
hypothesis.settings.register_profile("tulle", deadline=None, derandomize="CI" in os.environ)
hypothesis.settings.load_profile("tulle")


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
