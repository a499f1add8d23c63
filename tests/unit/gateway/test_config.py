from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gateway import limits
from gateway.config import gateway
from gateway.replies import REPLIES
from mesh import contract as contracts
from mesh.contract import Contract, Method, contract
from mesh.envoy import Addresses
from mesh.model import PLATFORM_ROLES
from tests import rbac


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


def rules(made: Contract) -> dict[str, Any]:
    """What the filter that decides goes by."""
    listeners = gateway(made, Addresses())["static_resources"]["listeners"]
    filters = listeners[0]["filter_chains"][0]["filters"][0]["typed_config"]["http_filters"]
    found = next(one for one in filters if one["name"] == "envoy.filters.http.rbac")
    said: dict[str, Any] = found["typed_config"]["rules"]
    return said


PERSON: dict[str, Any] = {"sub": "user_1", "roles": []}


def verdicts(said: dict[str, Any], method: Method) -> dict[str, bool]:
    """Whether it lets in nobody, a person, one with its roles, and keys of theirs with and without its scope."""
    keys = {"none": [], "another": ["another.read"], "its own": [method.scope], "more": ["another.read", method.scope]}
    lent = PERSON | {"roles": sorted(method.roles - PLATFORM_ROLES)}
    by_key = {f"key: {name}": lent | {"scopes": scopes} for name, scopes in keys.items()}
    holders = {"nobody": {}, "person": PERSON, "holder": PERSON | {"roles": sorted(method.roles)}, **by_key}
    return {name: rbac.lets_in(said, method.path, claims) for name, claims in holders.items()}


@pytest.mark.parametrize("end_user", [contracts.NONE, contracts.OPTIONAL, contracts.REQUIRED])
@pytest.mark.parametrize("scope", ["", "shop.read"])
def test_who_is_let_in_follows_from_the_contract(end_user: str, scope: str) -> None:
    """Of people whom the method asks for; of keys those with its scope, and none where it has none."""
    some = next(method for method in contract().methods if method.name == "GetSubscription")
    method = replace(some, end_user=end_user, scope=scope)
    service = replace(contract().services[method.service], methods=(method,))
    said = rules(replace(contract(), services={method.service: service}))
    keys = dict.fromkeys(("key: none", "key: another"), end_user == contracts.NONE)
    keys |= dict.fromkeys(("key: its own", "key: more"), end_user == contracts.NONE or bool(scope))
    expected = {"nobody": end_user != contracts.REQUIRED, "person": True, "holder": True, **keys}
    assert verdicts(said, method) == expected


OFFERED = tuple(method for method in contract().methods if "gateway" in method.callers)


@pytest.mark.parametrize("method", OFFERED, ids=lambda method: method.path)
def test_each_method_is_for_whom_the_contract_says(method: Method) -> None:
    """In exactly one policy, for a role if it has one, and for keys if it has a scope."""
    named = [one for one in rules(contract())["policies"].values() if method.path in rbac.paths(one)]
    assert len(named) == 1
    found = verdicts(rules(contract()), method)
    free = method.end_user == contracts.NONE
    assert found["nobody"] == free
    assert found["person"] == (free or not method.roles)
    assert found["holder"]
    assert found["key: its own"] == (free or bool(method.scope))
    assert found["key: another"] == found["key: none"] == free


def test_each_refusal_has_its_own_words() -> None:
    """One row for each status that Envoy may answer with."""
    statuses = [reply.status for reply in REPLIES]
    assert len(statuses) == len(set(statuses))
    assert {400, 401, 403, 404, 408, 413, 415, 429, 431, 500, 502, 503, 504} <= set(statuses)
