"""Whom a configuration of Envoy's RBAC filter lets in: its own rules, read for the claims of a token.

For tests that hold configurations against the contract, or against each other, whoever wrote them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

JWT = "envoy.filters.http.jwt_authn"


def lets_in(rules: Mapping[str, Any], path: str, claims: Mapping[str, Any]) -> bool:
    """Whether a POST to `path` is allowed with a token of these claims, none if they are empty."""
    assert rules.get("action", "ALLOW") == "ALLOW"
    of = [policy for policy in rules["policies"].values() if path in paths(policy)]
    return any(_is(principal, claims) for policy in of for principal in policy["principals"])


def paths(policy: Mapping[str, Any]) -> list[str]:
    """The paths that a policy is about."""
    return [found["path"]["exact"] for found in _having(policy["permissions"], "url_path")]


def _having(config: Any, key: str) -> Iterator[Any]:
    if isinstance(config, dict) and key in config:
        yield config[key]
    for inner in config.values() if isinstance(config, dict) else config if isinstance(config, list) else ():
        yield from _having(inner, key)


def _is(principal: Mapping[str, Any], claims: Mapping[str, Any]) -> bool:
    ((kind, value),) = principal.items()
    if kind in ("and_ids", "or_ids"):
        return (all if kind == "and_ids" else any)(_is(one, claims) for one in value["ids"])
    if kind == "not_id":
        return not _is(value, claims)
    if kind == "any":
        return bool(value)
    return _claim(value.get("metadata_matcher", value), claims)


def _claim(matcher: Mapping[str, Any], claims: Mapping[str, Any]) -> bool:
    payload, claim = (part["key"] for part in matcher["path"])
    assert (matcher["filter"], payload) == (JWT, "payload")
    return _fits(matcher["value"], claims.get(claim))


def _fits(matcher: Mapping[str, Any], found: Any) -> bool:
    ((kind, value),) = matcher.items()
    if kind == "present_match":
        return (found is not None) is bool(value)
    if kind == "or_match":
        return any(_fits(one, found) for one in value["value_matchers"])
    if kind == "list_match":
        return isinstance(found, list) and any(_fits(value["one_of"], one) for one in found)
    return isinstance(found, str) and _text(value, found)


def _text(matcher: Mapping[str, Any], found: str) -> bool:
    if "exact" in matcher:
        return bool(matcher["exact"] == found)
    return re.fullmatch(matcher["safe_regex"]["regex"], found) is not None
