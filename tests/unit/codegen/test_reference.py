"""The API reference: every method, what it takes, answers and refuses, once each."""

from __future__ import annotations

from pathlib import Path

import pytest

from codegen import reference
from gateway.replies import REPLIES
from tests.unit.codegen.shop import shop


@pytest.fixture
def page(tmp_path: Path) -> str:
    return reference.render(shop(tmp_path))


def section(page: str, heading: str) -> str:
    """The text under a heading, up to the next one."""
    return page.partition(f"### `{heading}`\n")[2].partition("\n##")[0]


def test_each_offered_method_is_there(page: str) -> None:
    """REST path and gRPC name stand together; what the gateway may not call is not there."""
    assert "gRPC: `/tulle.shop.v1.ShopService/Buy`" in section(page, "POST /v1/shops/{shop_id}/orders")
    assert "CountOrders" not in page


def test_fields_are_shown_at_any_depth(page: str) -> None:
    """A message inside a list shows its fields under the list's name, and what is required has a star."""
    buy = section(page, "POST /v1/shops/{shop_id}/orders")
    assert "| `shop_id` * | path | string |" in buy
    assert "| `items` * | list of Item | What." in buy
    assert "| `items[].kind` * | `KIND_TEA`" in buy


def test_refusals_of_the_platform_stand_once(page: str) -> None:
    """What any call may be refused with is listed once, and not again with each method."""
    assert page.count("`MALFORMED_JSON`") == 1
    *_, common = page.partition("## What any call may be refused with")
    shown = {reply.reason for reply in REPLIES if reply.status in (413, 415, 429, 500, 503, 504)}
    assert shown
    assert all(f"`{reason}`" in common for reason in shown)


def test_cells_hold_their_text(page: str) -> None:
    """Every row of a table has as many cells as its head."""
    for block in page.split("\n\n"):
        rows = [line.replace("\\|", "") for line in block.splitlines() if line.startswith("|")]
        assert len({row.count("|") for row in rows}) <= 1
