"""The edge on a cluster: the contract's methods for the contract's people, in the order that is policy."""

from __future__ import annotations

from typing import Any

import pytest

from gateway import routes
from gateway.limits import BY_ADDRESS, BY_PRINCIPAL, JWT
from infra.deploy.istio.ingress import ingress
from infra.deploy.istio.workloads import addresses
from mesh.contract import NONE, REQUIRED, Method, contract

OFFERED = routes.offered(contract())
OBJECTS = {one["kind"]: one["spec"] for one in ingress(contract(), addresses("https://a.example")) if "spec" in one}


@pytest.mark.parametrize("method", tuple(contract().methods), ids=lambda method: method.path)
def test_a_method_is_for_whom_the_contract_says(method: Method) -> None:
    """One rule for people, with the principal and the roles that it asks for; one more for keys with its scope."""
    rules = [rule for rule in OBJECTS["AuthorizationPolicy"]["rules"] if method.path in _paths(rule)]
    assert len(rules) == (method in OFFERED) + bool(method.scope)
    scopes = []
    for rule in rules:
        when = {one["key"]: one for one in rule.get("when", ())}
        assert ("from" in rule) == (method.end_user == REQUIRED)
        assert set(when.get("request.auth.claims[roles]", {"values": ()})["values"]) == method.roles
        scopes.append({key: value for key, value in when.get(SCOPES, {}).items() if key != "key"})
    looked_at = method in OFFERED and method.end_user != NONE
    people = [{"notValues": ["*"]}] if looked_at else [{}] * len(rules)
    assert scopes == people + [{"values": [method.scope]}] * bool(method.scope)


SCOPES = "request.auth.claims[scopes]"


def _paths(rule: dict[str, Any]) -> list[str]:
    return [path for to in rule["to"] for path in to["operation"]["paths"]]


def test_only_what_is_safe_is_repeated() -> None:
    """Each offered method has one route, which says how often it is repeated."""
    repeated = {row["name"]: row["retries"]["attempts"] > 0 for row in OBJECTS["VirtualService"]["http"]}
    assert repeated == {method.path: method.retry_safe for method in OFFERED}


def test_the_order_is_policy() -> None:
    """Strictness and the transcoder come before what decides; the limit of a caller after it."""
    patches = [one["patch"] for one in OBJECTS["EnvoyFilter"]["configPatches"] if one["applyTo"] == "HTTP_FILTER"]
    first = [one["value"]["name"] for one in reversed(patches) if one["operation"] == "INSERT_FIRST"]
    assert first == ["envoy.filters.http.lua", "envoy.filters.http.grpc_json_transcoder", BY_ADDRESS]
    assert [one["value"]["name"] for one in patches if one["operation"] == "REPLACE"] == [JWT]
    assert [one["value"]["name"] for one in patches if one["operation"] == "INSERT_BEFORE"] == [BY_PRINCIPAL]
