"""Lines and comments of the parts of a contract."""

from __future__ import annotations

from pathlib import Path

import pytest

from codegen.source import EVENT, HTTP, METHOD
from tests.unit.codegen.shop import FILE, GOOD, SHOP, shop

LINES = GOOD.splitlines()


@pytest.mark.parametrize(
    ("name", "option", "word", "text"),
    [
        (SHOP, 0, "", "service ShopService {"),
        (f"{SHOP}.GetOrder", 0, "", "  rpc GetOrder(GetOrderRequest) returns (Order) {"),
        (f"{SHOP}.Buy", METHOD, "reasons", '      reasons: ["SOLD_OUT"]'),
        (f"{SHOP}.Buy", HTTP, "body", '      body: "*"'),
        (f"{SHOP}.Buy", HTTP, "absent", "    option (google.api.http) = {"),
        ("tulle.shop.v1.Sent", EVENT, "subject", '    subject: "sent"'),
        ("tulle.shop.v1.Item.grams", 0, "", "  int64 grams = 2 [(buf.validate.field).int64.gte = 0];"),
        ("tulle.shop.v1.Kind.KIND_TEA", 0, "", "  KIND_TEA = 1;"),
    ],
)
def test_where_is_the_line(tmp_path: Path, name: str, option: int, word: str, text: str) -> None:
    """`where` names the line of an element, an option, or a word in an option; the option's first line failing that."""
    file, _, line = shop(tmp_path).source.where(name, option, word).partition(":")
    assert (file, LINES[int(line) - 1]) == (f"protos/{FILE}", text)


def test_comments_are_unwrapped(tmp_path: Path) -> None:
    """How a comment is wrapped does not matter; its paragraphs do."""
    wrapped = GOOD.replace("// A thing.\n", "// A\n// thing.\n//\n// Or two.\n")
    source = shop(tmp_path, wrapped).source
    assert source.comment("tulle.shop.v1.Item") == "A thing.\n\nOr two."
    assert source.comment("tulle.shop.v1.Nothing") == ""
