from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.envoy.rig import Rig, rig


@pytest.fixture(scope="session")
def stack() -> Iterator[Rig]:
    """One mesh for all tests of this folder; each test brings its own users and addresses."""
    with rig() as made:
        yield made


@pytest.fixture
def mesh(stack: Rig) -> Iterator[Rig]:
    """The mesh, with services that answer in their simplest way again afterwards."""
    before = {name: dict(service.answers) for name, service in stack.services.items()}
    yield stack
    for name, service in stack.services.items():
        service.answers = before[name]
