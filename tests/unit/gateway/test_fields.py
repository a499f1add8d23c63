"""The tables that strict.lua gets."""

from __future__ import annotations

from gateway import fields, templates
from mesh.contract import contract


def test_the_script_knows_every_binding() -> None:
    """Each path of an offered method stands in the tables, and none of another's."""
    tables = fields.tables(contract())
    for method in contract().methods:
        for rule in method.http:
            path = templates.pattern(rule.path) if "{" in rule.path else rule.path
            assert f'"{path}"' in tables


def test_a_body_lacks_what_the_path_binds() -> None:
    """GrantRole's body has a role and no user_id."""
    row = next(line for line in fields.tables(contract()).splitlines() if "GrantRoleRequest -user_id" in line)
    assert "role" in row
    assert 'name = "user_id"' not in row


def test_a_signed_body_is_nobodys_business() -> None:
    """What is passed on byte for byte has no known fields, and its headers are let through."""
    tables = fields.tables(contract())
    assert '["/v1/billing/webhooks:stripe"] = {POST = {query = {}, raw = true}}' in tables
    assert 'local HEADERS = {"stripe-signature"}' in tables


def test_a_body_of_one_field_leaves_the_rest_to_the_query() -> None:
    """update_mask is a query parameter, the profile's own fields are not."""
    row = next(line for line in fields.tables(contract()).splitlines() if line.startswith('  ["/v1/users/me"]'))
    assert '["updateMask"]' in row
    assert "display" not in row
