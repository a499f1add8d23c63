"""A small contract that keeps all rules, for tests to break."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from codegen import compile as compiler
from codegen import project
from codegen.build import ROOT
from codegen.project import DomainError, Project
from services.topology import Workload

FILE = "tulle/shop/v1/shop.proto"
GOOD = """\
syntax = "proto3";

// A shop.
package tulle.shop.v1;

import "buf/validate/validate.proto";
import "google/api/annotations.proto";
import "google/api/field_behavior.proto";
import "google/protobuf/timestamp.proto";
import "tulle/policy/v1/policy.proto";

// Sells things.
service ShopService {
  // Buys a thing. It is yours at once.
  rpc Buy(BuyRequest) returns (Order) {
    option (google.api.http) = {
      post: "/v1/shops/{shop_id}/orders"
      body: "*"
    };
    option (tulle.policy.v1.method) = {
      end_user: END_USER_REQUIRED
      roles: [ROLE_ADMINISTRATOR]
      callers: ["gateway"]
      rate_limit: {
        requests: 60
        per: {seconds: 60}
      }
      deadline: {seconds: 3}
      reasons: ["SOLD_OUT"]
      emits: ["tulle.shop.v1.Bought"]
    };
  }

  // Returns an order.
  rpc GetOrder(GetOrderRequest) returns (Order) {
    option idempotency_level = NO_SIDE_EFFECTS;
    option (google.api.http) = {get: "/v1/orders/{order_id}"};
    option (tulle.policy.v1.method) = {
      end_user: END_USER_OPTIONAL
      callers: [
        "gateway",
        "billing"
      ]
      rate_limit: {
        requests: 60
        per: {seconds: 60}
      }
      deadline: {nanos: 500000000}
    };
  }

  // Counts orders, for the platform itself.
  rpc CountOrders(CountOrdersRequest) returns (Count) {
    option (tulle.policy.v1.method) = {
      end_user: END_USER_NONE
      callers: ["billing"]
      deadline: {seconds: 1}
    };
  }
}

// Buys a thing.
message BuyRequest {
  // Where, such as `north`.
  string shop_id = 1 [
    (google.api.field_behavior) = REQUIRED,
    (buf.validate.field).string.pattern = "^[a-z]{1,20}$"
  ];
  // What.
  repeated Item items = 2 [
    (google.api.field_behavior) = REQUIRED,
    (buf.validate.field).repeated.min_items = 1,
    (buf.validate.field).repeated.max_items = 10
  ];
  // Whom to tell.
  string email = 3 [
    (buf.validate.field).ignore = IGNORE_IF_ZERO_VALUE,
    (buf.validate.field).string.email = true,
    (buf.validate.field).string.max_len = 254,
    (tulle.policy.v1.field).personal = true
  ];
  // How it is paid.
  oneof payment {
    option (buf.validate.oneof).required = true;
    // With a card.
    string card = 4 [
      (buf.validate.field).string.max_len = 19,
      (tulle.policy.v1.field).secret = true
    ];
    // By invoice.
    bool invoice = 5;
  }
}

// A thing.
message Item {
  // Which.
  Kind kind = 1 [
    (google.api.field_behavior) = REQUIRED,
    (buf.validate.field).enum.defined_only = true,
    (buf.validate.field).enum.not_in = 0
  ];
  // How many grams, such as `250`.
  int64 grams = 2 [(buf.validate.field).int64.gte = 0];
  // How many, such as `2`.
  int32 count = 3 [
    (buf.validate.field).int32.gte = 0,
    (buf.validate.field).int32.lte = 99
  ];
}

// What can be bought.
enum Kind {
  // Not said.
  KIND_UNSPECIFIED = 0;
  // Tea.
  KIND_TEA = 1;
}

// Names an order.
message GetOrderRequest {
  // Which.
  string order_id = 1 [
    (google.api.field_behavior) = REQUIRED,
    (buf.validate.field).string.min_len = 1,
    (buf.validate.field).string.max_len = 40
  ];
  // How much to tell.
  int32 detail_level = 2;
}

// What was bought.
message Order {
  // Id of the order.
  string order_id = 1 [(google.api.field_behavior) = OUTPUT_ONLY];
  // When.
  google.protobuf.Timestamp create_time = 2;
  // Cents.
  int64 price = 3;
}

// Asks for the number of orders.
message CountOrdersRequest {}

// A number of orders.
message Count {
  // How many.
  uint64 count = 1;
}

// Something was bought.
message Bought {
  option (tulle.policy.v1.event) = {
    subject: "bought"
    retention: {seconds: 86400}
    consumers: ["billing"]
    schema_version: 2
  };
  // Which order.
  string order_id = 1;
}

// Something was sent.
message Sent {
  option (tulle.policy.v1.event) = {
    subject: "sent"
    retention: {seconds: 86400}
  };
  // Which order.
  string order_id = 1;
}
"""
SHOP = "tulle.shop.v1.ShopService"
WORKLOADS = (
    Workload("shop", "sells", module="services.shop.main", serves=(SHOP,)),
    Workload("billing", "counts", module="services.billing.main", calls=("shop",)),
    Workload("gateway", "the edge", calls=("shop",)),
)
ERRORS = {"shop": {"SOLD_OUT": DomainError("SOLD_OUT", "FailedPrecondition", "There is none left.")}}


def broken(good: str, changes: Iterable[tuple[str, str]]) -> str:
    """`good` with parts replaced, each of which must be there."""
    for old, new in changes:
        assert old in good, old
        good = good.replace(old, new, 1)
    return good


def shop(
    folder: Path,
    proto: str = GOOD,
    workloads: tuple[Workload, ...] = WORKLOADS,
    errors: Mapping[str, Mapping[str, DomainError]] = ERRORS,
) -> Project:
    """The project of one proto file, compiled in `folder`."""
    loaded = project.load(compiled(folder, proto), folder)
    return replace(loaded, workloads=workloads, errors=errors)


def compiled(folder: Path, proto: str) -> bytes:
    """One proto file, written to `folder` and compiled there."""
    protos, scratch = folder / "protos", folder / "scratch"
    for made in (protos / Path(FILE).parent, scratch):
        made.mkdir(parents=True)
    for shared in ("event", "policy"):
        shutil.copytree(ROOT / "protos" / "tulle" / shared, protos / "tulle" / shared)
    (protos / "tulle" / "event" / "v1" / "operations.proto").unlink()  # a service: the shop has one, its own
    (protos / FILE).write_text(proto)
    return compiler.descriptor_set(protos, scratch)
