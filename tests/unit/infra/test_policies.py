"""Who may call whom, as Istio's objects: what the contract says, and nothing more."""

from __future__ import annotations

from typing import Any

import pytest

from infra.deploy.istio import policies
from mesh.contract import Method, contract
from services import topology

METHODS = tuple(contract().methods)
OBJECTS = policies.policies(contract())


def of_kind(kind: str) -> dict[str, Any]:
    """The specs of all objects of a kind, by name."""
    return {one["metadata"]["name"]: one["spec"] for one in OBJECTS if one["kind"] == kind}


def callers(method: Method) -> set[str]:
    """The workloads that the policies let call a method."""
    rules = of_kind("AuthorizationPolicy")[contract().owners(method.service)[0].name]["rules"]
    sources = [rule["from"][0]["source"]["principals"] for rule in rules if method.path in _paths(rule)]
    known = {
        topology.spiffe_id(workload.name).removeprefix("spiffe://"): workload.name for workload in topology.WORKLOADS
    }
    return {known[principal] for principals in sources for principal in principals}


def _paths(rule: dict[str, Any]) -> list[str]:
    return [path for to in rule["to"] for path in to["operation"]["paths"]]


def route(method: Method) -> dict[str, Any]:
    """The route of a method."""
    routes = of_kind("VirtualService")[contract().owners(method.service)[0].name]["http"]
    (found,) = [one for one in routes if one["match"] == [{"uri": {"exact": method.path}}]]
    return dict(found)


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.path)
def test_a_method_is_for_its_callers(method: Method) -> None:
    """Exactly the workloads of the contract may call a method."""
    assert callers(method) == method.callers


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.path)
def test_a_method_is_repeated_only_if_that_is_safe(method: Method) -> None:
    """Istio repeats a call that nobody says anything about; so each route says it."""
    assert (route(method)["retries"]["attempts"] > 0) == method.retry_safe


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.path)
def test_the_service_answers_before_its_caller_gives_up(method: Method) -> None:
    """A route's time is the contract's deadline and a little more."""
    assert method.deadline < float(route(method)["timeout"].removesuffix("s")) < method.deadline + 1


def test_what_nothing_is_said_of_is_denied() -> None:
    """Mutual TLS is a must, and a policy without rules denies all that no other allows."""
    assert of_kind("PeerAuthentication") == {"default": {"mtls": {"mode": "STRICT"}}}
    assert of_kind("AuthorizationPolicy")["nobody"] == {}
    assert all("rules" in spec for name, spec in of_kind("AuthorizationPolicy").items() if name != "nobody")


def test_no_policy_is_for_a_path_that_does_not_exist() -> None:
    """Paths are methods of the contract, health or reflection."""
    rules = [rule for spec in of_kind("AuthorizationPolicy").values() for rule in spec.get("rules", [])]
    known = {method.path for method in contract().methods}
    others = {path for rule in rules for path in _paths(rule)} - known
    assert all(path.startswith(("/grpc.health.v1.Health/", "/grpc.reflection.")) for path in others)
