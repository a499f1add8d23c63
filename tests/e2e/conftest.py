"""One stack for all tests that leave it whole; the people and credentials that they use."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from codegen import compile as compiler
from codegen import project as projects
from codegen.project import Project
from infra import ca
from infra.local.stack import reset
from infra.settings import Mesh, Workers
from services import topology
from tests.e2e import cast as casting
from tests.e2e.cast import Cast
from tests.e2e.doors import Edge, Sidecar
from tests.e2e.matrix import Cell
from tests.e2e.people import Person
from tests.e2e.stacks import Stack


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """People keep their connections from test to test, so all tests here share one event loop."""
    for item in items:
        if Path(__file__).parent in item.path.parents and item.get_closest_marker("asyncio"):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


_figures: list[str] = []


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Figures are told even when all is well."""
    while _figures:
        terminalreporter.write_line(_figures.pop(0))


@pytest.fixture(scope="session")
def tell() -> Callable[[str], None]:
    """Have a figure printed at the end of the run."""
    return _figures.append


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """A running stack. Tests that break it take `own_stack`."""
    yield from running("static")


@pytest.fixture
def own_stack() -> Iterator[Stack]:
    """A stack that nobody else uses."""
    yield from running("static")


def running(mesh: Mesh, workers: Workers = "inside") -> Iterator[Stack]:
    """A stack in a folder of its own, which goes with it."""
    folder = Path(tempfile.mkdtemp(prefix="tulle-e2e-"))
    folder.chmod(0o711)
    stack = Stack(folder, mesh, workers)
    try:
        stack.start()
        yield stack
    finally:
        stack.stop()
        reset(stack.layout)


@pytest.fixture(scope="session")
def project() -> Project:
    """The contract with its comments and examples."""
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(__file__).parents[2]
        return projects.load(compiler.descriptor_set(root / "protos", Path(scratch)), root)


@pytest.fixture(scope="session")
def edge(stack: Stack) -> Edge:
    return stack.edge


@pytest.fixture(scope="session")
def sidecars(stack: Stack) -> dict[str, Sidecar]:
    return stack.sidecars


@pytest.fixture(scope="session")
def certificates(stack: Stack) -> Path:
    return stack.layout.data / "certs"


@pytest.fixture(scope="session")
def sockets(stack: Stack) -> dict[str, Path]:
    """Where each service listens for its sidecar."""
    return {name: stack.layout.run / f"{name}.sock" for name in stack.sidecars}


@pytest.fixture(scope="session")
def verdict() -> Callable[[Cell], str]:
    """What must come of a cell in this mesh."""
    return lambda cell: cell.expected


@pytest.fixture(scope="session")
def stranger(certificates: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate that says `gateway`, from an authority that nobody trusts, whose holder trusts ours."""
    folder = tmp_path_factory.mktemp("stranger")
    ca.issue(ca.open_authority(folder), folder / "gateway", ("gateway",), topology.spiffe_id("gateway"))
    forged = folder / "forged"
    shutil.copytree(folder / "gateway" / "current", forged)
    shutil.copy(certificates / "gateway" / "ca.pem", forged / "ca.pem")
    return forged


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def cast(stack: Stack) -> Cast:
    """The people of the policy matrix and of the REST surface's document."""
    return await casting.gather(stack)


@pytest_asyncio.fixture(loop_scope="session")
async def newcomer(stack: Stack) -> AsyncIterator[Person]:
    """Somebody who has not signed up yet."""
    person = stack.person()
    yield person
    await person.rest.aclose()


@pytest_asyncio.fixture(loop_scope="session")
async def somebody(stack: Stack) -> AsyncIterator[Person]:
    """Somebody who is logged in."""
    person = await stack.person().arrive()
    yield person
    await person.rest.aclose()


@pytest_asyncio.fixture(loop_scope="session")
async def another(stack: Stack) -> AsyncIterator[Person]:
    """Somebody else who is logged in."""
    person = await stack.person().arrive()
    yield person
    await person.rest.aclose()
