"""The pages that are made from the contract and the topology."""

from __future__ import annotations

from pathlib import Path

from codegen import pages
from tests.unit.codegen.shop import shop


def test_the_policy_page_has_a_row_for_each_method(tmp_path: Path) -> None:
    """Who may call a method, through which doors and how often stands in its row."""
    lines = pages.policy(shop(tmp_path)).splitlines()
    (buy,) = (line for line in lines if line.startswith("| Buy "))
    assert "`POST /v1/shops/{shop_id}/orders`" in buy
    assert "| gateway | required with role administrator |  | 60 in 60 s | 3 s | no | Bought |" in buy
    (count,) = (line for line in lines if line.startswith("| CountOrders "))
    assert "|  | billing | none |  |  | 1 s | no |  |" in count


def test_the_policy_page_says_who_hears_of_what(tmp_path: Path) -> None:
    """Each event has its subject, producer and consumers."""
    assert "| Bought | `tulle.shop.bought` | shop | billing | 1 day |" in pages.policy(shop(tmp_path))


def test_the_diagram_has_every_call(tmp_path: Path) -> None:
    """Each workload is a node, and each call of the topology an edge."""
    drawn = pages.diagram(shop(tmp_path))
    assert all(f"    {name}[" in drawn for name in ("shop", "billing", "gateway"))
    assert "billing -->|mTLS| shop" in drawn
    assert "shop -->|mTLS|" not in drawn
