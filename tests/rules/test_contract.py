"""What the contract must say, whatever it says."""

from __future__ import annotations

import pytest

from mesh import contract
from mesh.contract import Method
from services.topology import BOXES, WORKLOADS

METHODS = list(contract.contract().methods)


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.path)
def test_every_rpc_has_a_policy(method: Method) -> None:
    """Each RPC says who may call it, for whom, and for how long."""
    assert method.callers
    assert method.end_user in {contract.NONE, contract.OPTIONAL, contract.REQUIRED}
    assert method.deadline > 0


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.path)
def test_what_returns_a_credential_is_for_its_owner(method: Method) -> None:
    """A method that answers with a secret is never repeated by the mesh: the second answer would differ."""
    assert not (method.returns_secret and method.retry_safe)


def test_boxes_are_known() -> None:
    """A workload needs only boxes that the topology describes."""
    assert {need for workload in WORKLOADS for need in workload.needs} <= {box.name for box in BOXES}


def test_calls_go_one_way() -> None:
    """No two workloads wait for each other, directly or around a corner."""
    calls = {workload.name: set(workload.calls) for workload in WORKLOADS}
    while leaves := {name for name, called in calls.items() if not called & calls.keys()}:
        calls = {name: called for name, called in calls.items() if name not in leaves}
    assert not calls
