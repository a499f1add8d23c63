from __future__ import annotations

from dataclasses import replace

import pytest

from gateway import limits
from mesh import hops
from mesh.contract import NONE, OPTIONAL, REQUIRED, Method, RateLimit, contract

METHOD = contract().method("/tulle.users.v1.UsersService/GetProfile")


def keys(method: Method) -> list[list[str]]:
    return [[entry["key"] for entry in row["entries"]] for row in limits.by_principal(method)["descriptors"]]


@pytest.mark.parametrize(
    ("end_user", "expected"),
    [
        (NONE, [["masked_remote_address"]]),
        (REQUIRED, [["user"]]),
        (OPTIONAL, [["user"], ["token", "masked_remote_address"]]),
    ],
)
def test_a_principal_is_the_user_or_else_the_address(end_user: str, expected: list[list[str]]) -> None:
    """Where a token may be missing, an address is counted only when it is."""
    assert keys(replace(METHOD, end_user=end_user)) == expected


def test_every_key_has_an_action_that_makes_it() -> None:
    """A descriptor that no action makes would limit nobody."""
    for end_user in (NONE, OPTIONAL, REQUIRED):
        limit = limits.by_principal(replace(METHOD, end_user=end_user))
        made = [len(row["actions"]) for row in limit["rate_limits"]]
        assert made == [len(row["entries"]) for row in limit["descriptors"]]


@pytest.mark.parametrize(("requests", "per", "expected"), [(20, 60.0, 3), (600, 60.0, 1), (7, 60.0, 9), (1, 0.5, 1)])
def test_retry_after_is_when_the_next_token_is_there(requests: int, per: float, expected: int) -> None:
    """In whole seconds, rounded up."""
    assert limits.retry_after(RateLimit(requests, per)) == expected


def test_limits_hold_memory_within_a_bound() -> None:
    """However many clients there are, only so many buckets are kept."""
    assert limits.by_principal(METHOD)["max_dynamic_descriptors"] == hops.BUCKETS
    assert limits.by_address()["max_dynamic_descriptors"] == hops.BUCKETS
