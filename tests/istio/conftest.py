"""One stack on Istio for all tests here; people and credentials are those of tests/e2e."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from infra.istio import control, tools
from infra.istio.control import Place
from tests.e2e.conftest import (
    another,
    cast,
    certificates,
    edge,
    newcomer,
    project,
    pytest_terminal_summary,
    running,
    sidecars,
    sockets,
    somebody,
    stranger,
    tell,
)
from tests.e2e.matrix import Cell, Door, neighbours
from tests.e2e.stacks import Stack

__all__ = [
    "another",
    "cast",
    "certificates",
    "edge",
    "newcomer",
    "project",
    "pytest_terminal_summary",
    "sidecars",
    "sockets",
    "somebody",
    "stranger",
    "tell",
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """As in tests/e2e, all tests here share one event loop."""
    for item in items:
        if Path(__file__).parent in item.path.parents and item.get_closest_marker("asyncio"):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """A running stack whose sidecars istiod configures."""
    tools.build(print)
    yield from running("istio")


@pytest.fixture
def own_stack() -> Iterator[Stack]:
    """Another one, that nobody else uses."""
    yield from running("istio")


@pytest.fixture(scope="session")
def place(stack: Stack) -> Place:
    """Its control plane."""
    return control.place(stack.layout)


@pytest.fixture(scope="session")
def verdict() -> Callable[[Cell], str]:
    """As in a static mesh, only that the handshake takes whoever is of the mesh, and then the policy refuses."""

    def verdict(cell: Cell) -> str:
        stranger = cell.door is Door.MESH and cell.workload not in neighbours(cell.owner)
        return "PERMISSION_DENIED" if stranger else cell.expected

    return verdict
