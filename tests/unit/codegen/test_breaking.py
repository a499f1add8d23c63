"""What a change of the contract breaks: one planted break of each kind, and changes that break nobody."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import descriptor_pb2
from google.protobuf.descriptor import Descriptor
from tulle.policy.v1 import policy_pb2

from codegen import project
from codegen.breaking.__main__ import ASPECTS, compare
from codegen.breaking.breaks import Break, Change
from mesh import contract
from tests.unit.codegen.shop import FILE, GOOD, broken, compiled

Compared = Callable[..., list[Break]]
BUY, GET, COUNT = (f"tulle.shop.v1.ShopService/{name}" for name in ("Buy", "GetOrder", "CountOrders"))
GET_POLICY = "end_user: END_USER_OPTIONAL\n"
SCOPE_OF_GET = '      scope: "shop.read"\n'
LIMIT_OF_BUY = "rate_limit: {\n        requests: 60\n        per: {seconds: 60}\n      }\n      deadline: {seconds: 3}"

AGE = """  // How old.
  google.protobuf.Duration age = 3 [(buf.validate.field).duration.lte = {seconds: 300}];
"""
DURATION = (
    'import "google/protobuf/timestamp.proto";',
    """import "google/protobuf/duration.proto";
import "google/protobuf/timestamp.proto";""",
)
COUNT_OF_ITEM = "    (buf.validate.field).int32.lte = 99\n  ];\n"
WRAPPED = """  // How.
  oneof wrapped {
    option (buf.validate.oneof).required = true;
    // In this.
    string paper = 4;
  }
"""
IN_BOUGHT = """    schema_version: 2
  };
  // Which order.
  string order_id = 1"""


@pytest.fixture
def compared(tmp_path: Path) -> Compared:
    """Breaks between two texts, each made of GOOD by replacements."""

    def compare_them(*changes: tuple[str, str], before: tuple[tuple[str, str], ...] = ()) -> list[Break]:
        good = broken(GOOD, before)
        old, new = compiled(tmp_path / "old", good), compiled(tmp_path / "new", broken(good, changes))
        return compare(old, new, tmp_path / "new")

    return compare_them


PLANTED: dict[str, tuple[Any, ...]] = {
    "a path that is gone": (
        "route",
        f"{BUY} POST /v1/shops/{{shop_id}}/orders",
        "REST",
        ("/v1/shops/{shop_id}/orders", "/v2/shops/{shop_id}/orders"),
    ),
    "a verb that is another": (
        "route",
        f"{GET} GET /v1/orders/{{order_id}}",
        "REST",
        ('{get: "/v1/orders', '{delete: "/v1/orders'),
    ),
    "a token that is needed now": ("end_user", GET, "without a token", (GET_POLICY, "end_user: END_USER_REQUIRED\n")),
    "a token that is not needed any more": ("end_user", BUY, "whose data", ("END_USER_REQUIRED", "END_USER_OPTIONAL")),
    "a role that nobody needs any more": (
        "roles-looser",
        BUY,
        "whose data",
        ("      roles: [ROLE_ADMINISTRATOR]\n", ""),
    ),
    "a scope that no key needs any more": (
        "scope",
        GET,
        "programs with API keys of shop.read",
        (SCOPE_OF_GET, ""),
        (GET_POLICY, GET_POLICY + SCOPE_OF_GET),
    ),
    "a scope that is another": (
        "scope",
        GET,
        "programs with API keys of shop.read",
        ("shop.read", "shop.look"),
        (GET_POLICY, GET_POLICY + SCOPE_OF_GET),
    ),
    "a scope of which there are keys": (
        "scope-looser",
        GET,
        "whose data",
        (GET_POLICY, GET_POLICY + SCOPE_OF_GET),
        ('      reasons: ["SOLD_OUT"]\n', SCOPE_OF_GET),
    ),
    "a caller that may not call": (
        "callers",
        f"{GET} billing",
        "`billing`",
        ('        "gateway",\n        "billing"\n', '        "gateway"\n'),
    ),
    "everybody outside, who may not call": (
        "callers",
        f"{GET} gateway",
        "outside",
        ('        "gateway",\n        "billing"\n', '        "billing"\n'),
    ),
    "a caller that was not thought of": (
        "callers-looser",
        f"{COUNT} gateway",
        "whose data",
        ('callers: ["billing"]', 'callers: ["billing", "gateway"]'),
    ),
    "a lower limit": ("rate_limit", BUY, "that often", ("requests: 60", "requests: 30")),
    "a smaller burst": (
        "rate_limit",
        BUY,
        "that often",
        (LIMIT_OF_BUY, LIMIT_OF_BUY.replace("requests: 60", "requests: 1").replace("seconds: 60", "seconds: 1")),
    ),
    "less time": ("deadline", BUY, "longer", ("deadline: {seconds: 3}", "deadline: {seconds: 2}")),
    "no repetition": ("idempotency_level", GET, "repeat", ("    option idempotency_level = NO_SIDE_EFFECTS;\n", "")),
    "a reason that is not told": ("reasons", f"{BUY} SOLD_OUT", "wait for it", ('"SOLD_OUT"', '"OUT_OF_STOCK"')),
    "an event that does not come": (
        "emits",
        f"{BUY} tulle.shop.v1.Bought",
        "`billing`",
        ('["tulle.shop.v1.Bought"]', '["tulle.shop.v1.Sent"]'),
    ),
    "an event under another subject": ("subject", "tulle.shop.v1.Bought", "`billing`", ('"bought"', '"bought_now"')),
    "an event that is kept shorter": ("retention", "tulle.shop.v1.Bought", "away", ("86400", "3600")),
    "an event of an older version": (
        "schema_version",
        "tulle.shop.v1.Bought",
        "`billing`",
        ("schema_version: 2", "schema_version: 1"),
    ),
    "an event that nobody hears": (
        "consumers",
        "tulle.shop.v1.Bought billing",
        "`billing`",
        ('    consumers: ["billing"]\n', ""),
    ),
    "an event that is none": (
        "event",
        "tulle.shop.v1.Sent",
        "replays",
        ('  option (tulle.policy.v1.event) = {\n    subject: "sent"\n    retention: {seconds: 86400}\n  };\n', ""),
    ),
    "a mark that is gone": (
        "marking",
        "tulle.shop.v1.BuyRequest.email",
        "people",
        (",\n    (tulle.policy.v1.field).personal = true", ""),
    ),
    "a shorter text": ("validation", "tulle.shop.v1.BuyRequest.email", "accepted", ("max_len = 254", "max_len = 100")),
    "more that is needed": (
        "validation",
        "tulle.shop.v1.BuyRequest.items",
        "accepted",
        ("repeated.min_items = 1", "repeated.min_items = 2"),
    ),
    "another pattern": ("validation", "tulle.shop.v1.BuyRequest.shop_id", "accepted", ("{1,20}", "{2,20}")),
    "a rule where there was none": (
        "validation",
        "tulle.shop.v1.GetOrderRequest.detail_level",
        "accepted",
        ("int32 detail_level = 2;", "int32 detail_level = 2 [(buf.validate.field).int32.lte = 3];"),
    ),
    "a field that is required now": (
        "validation",
        "tulle.shop.v1.GetOrderRequest.detail_level",
        "accepted",
        ("int32 detail_level = 2;", "int32 detail_level = 2 [(google.api.field_behavior) = REQUIRED];"),
    ),
    "a zero that is not excepted": (
        "validation",
        "tulle.shop.v1.BuyRequest.email",
        "accepted",
        ("    (buf.validate.field).ignore = IGNORE_IF_ZERO_VALUE,\n", ""),
    ),
    "a choice that must be made": (
        "validation",
        "tulle.shop.v1.BuyRequest.payment",
        "accepted",
        ("oneof payment {", "oneof payment {\n    option (buf.validate.oneof).required = true;"),
        ("    option (buf.validate.oneof).required = true;\n", ""),
    ),
    "an exact length": (
        "validation",
        "tulle.shop.v1.GetOrderRequest.order_id",
        "accepted",
        ("string.len = 9", "string.len = 12"),
        ("(buf.validate.field).string.min_len = 1", "(buf.validate.field).string.len = 9"),
    ),
    "a shorter time": (
        "validation",
        "tulle.shop.v1.GetOrderRequest.age",
        "accepted",
        ("{seconds: 300}", "{seconds: 200}"),
        ("  int32 detail_level = 2;\n", AGE),
        DURATION,
    ),
    "a new field that must be there": (
        "validation",
        "tulle.shop.v1.Item.wrap",
        "accepted",
        (COUNT_OF_ITEM, f"{COUNT_OF_ITEM}  // How.\n  string wrap = 4 [(buf.validate.field).string.min_len = 1];\n"),
    ),
    "a new choice that must be made": (
        "validation",
        "tulle.shop.v1.Item.wrapped",
        "accepted",
        (COUNT_OF_ITEM, f"{COUNT_OF_ITEM}{WRAPPED}"),
    ),
    "a field that nobody can set any more": (
        "validation",
        "tulle.shop.v1.GetOrderRequest.detail_level",
        "accepted",
        ("int32 detail_level = 2;", "int32 detail_level = 2 [(google.api.field_behavior) = OUTPUT_ONLY];"),
    ),
    "an event that may hold more": (
        "validation-looser",
        "tulle.shop.v1.Bought.order_id",
        "`billing`",
        (f"{IN_BOUGHT} [(buf.validate.field).string.max_len = 9];", f"{IN_BOUGHT};"),
        (f"{IN_BOUGHT};", f"{IN_BOUGHT} [(buf.validate.field).string.max_len = 9];"),
    ),
    "an answer that may hold more": (
        "validation-looser",
        "tulle.shop.v1.Order.price",
        "rely on",
        ("int64 price = 3 [(buf.validate.field).int64.gte = 0];", "int64 price = 3;"),
        ("int64 price = 3;", "int64 price = 3 [(buf.validate.field).int64.gte = 0];"),
    ),
    "a role that shuts out": (
        "roles",
        BUY,
        "every other signed-in user",
        ("callers: [", "roles: [ROLE_ADMINISTRATOR]\n      callers: ["),
        ("      roles: [ROLE_ADMINISTRATOR]\n", ""),
    ),
    "a session that is not asked for": (
        "fresh",
        BUY,
        "whose data",
        ("      fresh: true\n", ""),
        ("      callers: [", "      fresh: true\n      callers: ["),
    ),
}
"""By what is planted: aspect, subject, a word of whom it hurts, the change, and what stood there before."""


@pytest.mark.parametrize("planted", PLANTED)
def test_a_planted_break_is_found(compared: Compared, planted: str) -> None:
    """It is found once, at its place, with those whom it hurts and a way out."""
    aspect, subject, whom, change, *before = PLANTED[planted]
    (found,) = compared(change, before=tuple(before))
    assert (found.aspect, found.subject) == (aspect, subject)
    assert whom in found.whom
    assert found.instead
    assert found.where.startswith(f"protos/{FILE}:")


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (("  int64 price = 3;\n", ""), "FIELD_NO_DELETE"),
        (("int64 price = 3", "string price = 3"), "FIELD_WIRE_JSON_COMPATIBLE_TYPE"),
        (("int64 price = 3", "int64 cost = 3"), "FIELD_SAME_JSON_NAME"),
        (("KIND_TEA = 1", "KIND_TEA = 2"), "ENUM_VALUE_NO_DELETE"),
        (("rpc CountOrders(", "rpc CountAll("), "RPC_NO_DELETE"),
        (("returns (Count)", "returns (Order)"), "RPC_SAME_RESPONSE_TYPE"),
    ],
)
def test_the_wire_is_watched(compared: Compared, change: tuple[str, str], kind: str) -> None:
    """What another build would not read, in binary, in JSON or in code, is a break with its line."""
    found = {one.aspect: one for one in compared(change)}
    assert kind in found
    assert found[kind].where.startswith(f"protos/{FILE}:")


@pytest.mark.parametrize(
    "change",
    [
        ("// Buys a thing. It is yours at once.", "// Buys a thing, gladly."),
        ("requests: 60", "requests: 90"),
        (GET_POLICY, GET_POLICY + SCOPE_OF_GET),
        ("deadline: {seconds: 3}", "deadline: {seconds: 4}"),
        ("deadline: {seconds: 1}", "deadline: {seconds: 2}"),
        ("idempotency_level = NO_SIDE_EFFECTS", "idempotency_level = IDEMPOTENT"),
        ('reasons: ["SOLD_OUT"]', 'reasons: ["SOLD_OUT", "TOO_LATE"]'),
        ("max_len = 254", "max_len = 300"),
        ("repeated.max_items = 10", "repeated.max_items = 20"),
        ("int64.gte = 0", "int64.gte = -1"),
        ("  int64 price = 3;\n", "  int64 price = 3;\n  // More.\n  string note = 4;\n"),
        ("86400", "172800"),
        (COUNT_OF_ITEM, f"{COUNT_OF_ITEM}  // How.\n  string wrap = 4 [(buf.validate.field).string.max_len = 9];\n"),
        ("int32 detail_level = 2;", "int32 detail_level = 2 [(google.api.field_behavior) = OPTIONAL];"),
        (
            "    (buf.validate.field).ignore = IGNORE_IF_ZERO_VALUE,\n",
            "    (buf.validate.field).ignore = IGNORE_ALWAYS,\n",
        ),
        ('consumers: ["billing"]', 'consumers: ["billing", "shop"]'),
        ("end_user: END_USER_NONE\n", "end_user: END_USER_NONE\n      fresh: false\n"),
        (
            '{get: "/v1/orders/{order_id}"}',
            '{\n      get: "/v1/orders/{order_id}"\n      additional_bindings {get: "/v1/bills/{order_id}"}\n    }',
        ),
        ("(tulle.policy.v1.field).personal = true", "(tulle.policy.v1.field) = {personal: true, secret: true}"),
        (
            "  // How many.\n  uint64 count = 1;",
            "  // How many.\n  uint64 count = 1 [(buf.validate.field).uint64.lte = 9];",
        ),
    ],
)
def test_what_breaks_nobody_is_not_told(compared: Compared, change: tuple[str, str]) -> None:
    """More of what was there, and tighter answers, need no exception."""
    assert compared(change) == []


def leaves(policy: Descriptor) -> Iterator[tuple[str, ...]]:
    """The path of each option in a message of options; a time is one."""
    for field in policy.fields:
        inner = field.message_type
        if inner is not None and inner.full_name.startswith("tulle."):
            yield from ((field.name, *path) for path in leaves(inner))
        else:
            yield (field.name,)


OPTIONS = [
    (extension, path)
    for extension in policy_pb2.DESCRIPTOR.extensions_by_name
    for path in leaves(policy_pb2.DESCRIPTOR.extensions_by_name[extension].message_type)
]
_ROLES = "      roles: [ROLE_ADMINISTRATOR]\n"
ALL_SET = ((_ROLES, f'{_ROLES}      fresh: true\n      scope: "shop.buy"\n      headers: ["shop-signature"]\n'),)


def without(descriptor_set: bytes, extension: str, path: tuple[str, ...]) -> bytes:
    """The shop, with an option taken away wherever it is set."""
    files = descriptor_pb2.FileDescriptorSet.FromString(descriptor_set)
    shop = next(file for file in files.file if file.name == FILE)
    holders: dict[str, list[Any]] = {
        "method": [method for service in shop.service for method in service.method],
        "field": [field for message in shop.message_type for field in message.field],
        "event": list(shop.message_type),
    }
    key = getattr(policy_pb2, extension)
    for holder in holders[extension]:
        if holder.options.HasExtension(key):
            policy = holder.options.Extensions[key]
            for name in path[:-1]:
                policy = getattr(policy, name)
            policy.ClearField(path[-1])
    return files.SerializeToString()


@pytest.fixture(scope="module")
def all_set(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, Path]:
    """A shop that sets every option somewhere, and its folder."""
    root = tmp_path_factory.mktemp("shop")
    return compiled(root, broken(GOOD, ALL_SET)), root


@pytest.mark.parametrize(("extension", "path"), OPTIONS, ids=str)
def test_no_option_is_forgotten(all_set: tuple[bytes, Path], extension: str, path: tuple[str, ...]) -> None:
    """Taking an option away, or adding it, is a break that an aspect tells: whichever of both hurts."""
    whole, root = all_set
    less = without(whole, extension, path)
    assert less != whole, f"ALL_SET does not set {extension}.{'.'.join(path)}"
    both = [Change(contract.load(old), project.load(new, root)) for old, new in ((whole, less), (less, whole))]
    assert [one for change in both for aspect in ASPECTS for one in aspect(change)]
