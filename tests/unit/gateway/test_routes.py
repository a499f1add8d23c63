from __future__ import annotations

from typing import Any

import pytest

from gateway import limits, routes
from mesh.contract import NONE, Method, contract
from mesh.envoy import Addresses, seconds
from mesh.hops import EDGE_MARGIN

OFFERED = [method for method in contract().methods if "gateway" in method.callers]


def rows() -> dict[str, Any]:
    table = routes.table(contract(), Addresses())["resources"][0]
    (host,) = table["virtual_hosts"]
    return {row["match"]["path"]: row for row in host["routes"] if "path" in row["match"]}


def test_exactly_what_the_contract_opens_has_a_route() -> None:
    """A method that does not list the gateway is not there."""
    assert list(rows()) == [method.path for method in OFFERED]


@pytest.mark.parametrize("method", OFFERED, ids=lambda method: method.name)
def test_a_route_carries_the_method_s_policy(method: Method) -> None:
    """Owner, deadline, retries, token and limit come from the contract."""
    row = rows()[method.path]
    assert row["route"]["cluster"] == contract().owner(method.service).name
    assert row["route"]["timeout"] == seconds(method.deadline + EDGE_MARGIN)
    assert ("retry_policy" in row["route"]) == method.retry_safe
    policy = row["typed_per_filter_config"]
    token = policy.get("envoy.filters.http.jwt_authn", {}).get("requirement_name", NONE)
    assert token == method.end_user
    assert method.rate_limit is not None
    assert policy[limits.BY_PRINCIPAL]["token_bucket"]["max_tokens"] == method.rate_limit.requests


@pytest.mark.parametrize("method", OFFERED, ids=lambda method: method.name)
def test_a_method_without_an_end_user_never_sees_a_token(method: Method) -> None:
    """The header is removed exactly where no token is looked at."""
    removed = rows()[method.path].get("request_headers_to_remove", [])
    assert ("authorization" in removed) == (method.end_user == NONE)


def test_services_are_those_with_something_to_offer() -> None:
    """A service for workloads only is not transcoded."""
    assert "tulle.auth.v1.AccountsService" not in routes.services(contract())
    assert "tulle.users.v1.UsersService" in routes.services(contract())
