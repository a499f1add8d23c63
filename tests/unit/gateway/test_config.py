from __future__ import annotations

from typing import Any

from gateway import limits
from gateway.config import gateway
from gateway.replies import REPLIES
from mesh.contract import contract
from mesh.envoy import Addresses


def managers(addresses: Addresses = Addresses()) -> list[dict[str, Any]]:  # noqa: B008 (frozen)
    listeners = gateway(contract(), addresses)["static_resources"]["listeners"]
    return [listener["filter_chains"][0]["filters"][0]["typed_config"] for listener in listeners]


def test_what_decides_comes_after_the_transcoder() -> None:
    """REST and gRPC meet the same rules because the order of the filters is this one, at both doors."""
    for manager in managers():
        assert [one["name"] for one in manager["http_filters"]] == [
            "envoy.filters.http.lua",
            "envoy.filters.http.grpc_json_transcoder",
            limits.BY_ADDRESS,
            "envoy.filters.http.jwt_authn",
            "envoy.filters.http.rbac",
            limits.BY_PRINCIPAL,
            "envoy.filters.http.router",
        ]


def test_both_doors_are_the_same_but_for_their_names() -> None:
    """What holds over plain HTTP holds over TLS."""
    plain, secure = managers()
    assert plain | {"stat_prefix": ""} == secure | {"stat_prefix": ""}


def test_trusted_hops_are_a_setting() -> None:
    """By default nobody's x-forwarded-for is believed."""
    assert [manager["xff_num_trusted_hops"] for manager in managers()] == [0, 0]
    assert [manager["xff_num_trusted_hops"] for manager in managers(Addresses(trusted_hops=2))] == [2, 2]


def test_roles_are_asked_for_where_the_contract_has_them() -> None:
    """Each offered method is in exactly one rule: for anybody, for users, or for a role."""
    rbac = next(one for one in managers()[0]["http_filters"] if one["name"] == "envoy.filters.http.rbac")
    policies = rbac["typed_config"]["rules"]["policies"]
    found = {
        rule["url_path"]["path"]["exact"]: name
        for name, policy in policies.items()
        for rule in policy["permissions"][0]["or_rules"]["rules"]
    }
    offered = [method for method in contract().methods if "gateway" in method.callers]
    assert found == {
        m.path: ",".join(sorted(m.roles)) or ("user" if m.end_user == "required" else "anybody") for m in offered
    }


def test_each_refusal_has_its_own_words() -> None:
    """One row for each status that Envoy may answer with."""
    statuses = [reply.status for reply in REPLIES]
    assert len(statuses) == len(set(statuses))
    assert {400, 401, 403, 404, 408, 413, 415, 429, 431, 500, 502, 503, 504} <= set(statuses)
