from __future__ import annotations

from typing import Any

import pytest

from mesh import certificates, hops
from mesh.contract import contract
from mesh.envoy import Addresses
from mesh.sidecar import HEALTH, REFLECTION, allowed, sidecar
from services import topology

SERVED = [workload.name for workload in topology.WORKLOADS if workload.serves]


def listeners(workload: str) -> dict[str, Any]:
    config = sidecar(workload, contract(), Addresses())
    return {listener["name"]: listener for listener in config["static_resources"]["listeners"]}


def manager(listener: dict[str, Any]) -> dict[str, Any]:
    return dict(listener["filter_chains"][0]["filters"][0]["typed_config"])


@pytest.mark.parametrize("workload", SERVED)
def test_callers_and_methods_are_those_of_the_contract(workload: str) -> None:
    """Beyond them only health, and for the operator reflection."""
    methods = [m for name in topology.WORKLOAD[workload].serves for m in contract().services[name].methods]
    for caller, paths in allowed(workload, contract()).items():
        extra = HEALTH + (REFLECTION if caller == "operator" else ())
        assert set(paths) == {m.path for m in methods if caller in m.callers} | set(extra)


@pytest.mark.parametrize("workload", SERVED)
def test_who_may_call_nothing_is_not_let_in(workload: str) -> None:
    """The handshake knows the callers by their exact names."""
    tls = listeners(workload)["inbound"]["filter_chains"][0]["transport_socket"]["typed_config"]
    assert tls["require_client_certificate"] is True
    matchers = tls["common_tls_context"]["combined_validation_context"]["default_validation_context"]
    names = {row["matcher"]["exact"] for row in matchers["match_typed_subject_alt_names"]}
    assert names == {topology.spiffe_id(caller) for caller in allowed(workload, contract())}


@pytest.mark.parametrize("workload", SERVED)
def test_identity_is_replaced_and_never_appended(workload: str) -> None:
    """XFCC has one element: SANITIZE_SET."""
    assert manager(listeners(workload)["inbound"])["forward_client_cert_details"] == "SANITIZE_SET"


@pytest.mark.parametrize("workload", SERVED)
def test_the_rules_stand_before_the_secret_is_added(workload: str) -> None:
    """Only what is allowed gets the proof that it came through the sidecar."""
    names = [one["name"].rpartition(".")[2] for one in manager(listeners(workload)["inbound"])["http_filters"]]
    assert names[-3:] == ["rbac", "credential_injector", "router"]


def test_only_workloads_that_call_have_a_way_out() -> None:
    """The outbound listener is there exactly where the topology has calls."""
    for workload in SERVED:
        assert ("outbound" in listeners(workload)) == bool(topology.WORKLOAD[workload].calls)


def test_outbound_repeats_only_what_is_safe() -> None:
    """Retries come from idempotency_level and stay within the budget."""
    config = sidecar("users", contract(), Addresses())
    (table,) = manager(listeners("users")["outbound"])["route_config"]["virtual_hosts"]
    for route in table["routes"]:
        safe = contract().method(route["match"]["path"]).retry_safe
        assert ("retry_policy" in route["route"]) == safe
    for cluster in config["static_resources"]["clusters"]:
        budget = cluster["circuit_breakers"]["thresholds"][0]["retry_budget"]
        assert budget["budget_percent"]["value"] == hops.RETRY_BUDGET


def test_each_hop_waits_a_little_longer() -> None:
    """The application answers first, then its sidecar, then the caller's, then the edge."""
    assert 0 < hops.INBOUND_MARGIN < hops.OUTBOUND_MARGIN < hops.EDGE_MARGIN < 0.5


def test_tls_is_1_3_on_both_sides() -> None:
    """Envoy as a client offers 1.2 unless told otherwise."""
    for side in (certificates.mutual("users", Addresses(), ["auth"]), certificates.identity("edge", Addresses())):
        assert set(side["tls_params"].values()) == {"TLSv1_3"}
