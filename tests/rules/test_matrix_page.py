"""docs/matrix.md says what the matrix of the tests demands."""

from __future__ import annotations

from pathlib import Path

import pytest

from codegen import matrix
from codegen.project import Project, load
from mesh.contract import DESCRIPTOR_SET, Method, contract
from services.topology import WORKLOADS, Workload, owners
from tests.e2e.matrix import KEYS, Cell, Door, Holder

COLUMNS = {
    Holder.NOBODY: "nobody",
    Holder.USER: "user",
    Holder.MEMBER: "member",
    Holder.ADMINISTRATOR: "administrator",
}
SAID = {"UNAUTHENTICATED": matrix.NO_TOKEN, "PERMISSION_DENIED": matrix.NO_RIGHT, "UNAVAILABLE": matrix.NO_DOOR}
METHODS = list(contract().methods)
each_method = pytest.mark.parametrize("method", METHODS, ids=lambda method: method.path)


@each_method
@pytest.mark.parametrize("holder", COLUMNS, ids=str)
def test_the_page_says_who_may_call_at_the_edge(method: Method, holder: Holder) -> None:
    """For each kind of person, what the tests expect at the gateway is what the page says."""
    expected = Cell(method, Door.GRPC, holder, "").expected
    assert matrix.at_edge(method, matrix.HELD[COLUMNS[holder]]) == SAID.get(expected, matrix.YES)


@each_method
def test_the_page_says_what_a_key_needs(method: Method) -> None:
    """A scope where a key with every scope is let in by it, else what the tests expect for any key."""
    said = matrix.by_key(method)
    assert said in (f"`{method.scope}`", matrix.YES, matrix.NO_RIGHT)
    expected = Cell(method, Door.GRPC, Holder.API_KEY, "").expected
    assert (matrix.NO_RIGHT if said == matrix.NO_RIGHT else matrix.YES) == SAID.get(expected, matrix.YES)
    for holder, scopes in KEYS.items():
        if said.startswith("`"):
            denied = Cell(method, Door.GRPC, holder, "").expected == "PERMISSION_DENIED"
            assert denied == (said.strip("`") not in scopes)


@pytest.fixture(scope="module")
def state() -> Project:
    """The contract and what is made of it: read once, since that takes longer than a look at it."""
    return load(DESCRIPTOR_SET.read_bytes(), Path(__file__).parents[2])


@each_method
@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda workload: workload.name)
def test_the_page_says_which_workloads_may_call(state: Project, method: Method, workload: Workload) -> None:
    """For each certificate, what the tests expect at the sidecar is what the page says."""
    for owner in owners(method.service):
        expected = Cell(method, Door.MESH, Holder.ADMINISTRATOR, owner.name, workload.name).expected
        assert matrix.inside(method, owner, workload, state) == SAID.get(expected, matrix.YES)


def test_every_method_has_its_rows() -> None:
    """One row for the edge and one for the mesh."""
    text = (Path(__file__).parents[2] / "docs" / "matrix.md").read_text()
    assert all(text.count(f"| {method.name} |") >= 2 for method in METHODS)
