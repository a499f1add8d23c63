"""Each rule for contracts finds the fault that is planted for it, at its line, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from codegen import check
from codegen.project import DomainError, Project
from codegen.rules import events, http, messages, methods
from codegen.rules.finding import Finding
from services.topology import Workload
from tests.unit.codegen.shop import ERRORS, FILE, GOOD, SHOP, WORKLOADS, broken, shop

BUY_POLICY = GOOD[GOOD.index("    option (tulle.policy.v1.method)") : GOOD.index("  }\n\n  // Returns an order")]
COUNT_POLICY = "    option (tulle.policy.v1.method) = {\n      end_user: END_USER_NONE"
COUNT_HTTP = '    option (google.api.http) = {\n      post: "/v1/orders:count"\n    };\n'
GET_RULE = '{get: "/v1/orders/{order_id}"}'
TWO_RULES = '{\n get: "/v1/orders/{order_id}"\n additional_bindings: {post: "/v1/shops/{order_id}/orders"}\n }'
SHOP_ID = """  string shop_id = 1 [
    (google.api.field_behavior) = REQUIRED,
    (buf.validate.field).string.pattern = "^[a-z]{1,20}$"
  ];"""
BAD_CEL = """  option (buf.validate.message).cel = {
    id: "x"
    message: "y"
    expression: "this.nothing > 1"
  };
  // How many grams"""
NESTED = 'additional_bindings: {get: "/v1/b/{order_id}" additional_bindings: {get: "/v1/c/{order_id}"}}'
GET_USER = "      end_user: END_USER_OPTIONAL\n"
LIMIT = "      rate_limit: {\n        requests: 60\n        per: {seconds: 60}\n      }\n"
ITEM = "message Item {"


def rows(**changes: Mapping[str, object]) -> tuple[Workload, ...]:
    """The topology with some rows changed."""
    return tuple(replace(row, **changes.get(row.name, {})) for row in WORKLOADS)  # type: ignore[arg-type]


Rule = Callable[[Project], Iterator[Finding]]


@dataclass(frozen=True)
class Plant:
    """A fault: changes of the good contract, and a text in the line that the finding names."""

    rule: Rule
    line: str
    changes: tuple[tuple[str, str], ...] = ()
    workloads: tuple[Workload, ...] = WORKLOADS
    errors: Mapping[str, Mapping[str, DomainError]] = field(default_factory=lambda: ERRORS)
    also: tuple[Rule, ...] = ()
    """Rules that the same fault cannot but break too."""


PLANTS = {
    "a method without a policy": Plant(
        methods.has_policy, "rpc Buy", ((BUY_POLICY, ""),), also=(http.only_what_the_gateway_may_call,)
    ),
    "an end user left open": Plant(
        methods.says_end_user, "option (tulle.policy.v1.method)", (("      end_user: END_USER_OPTIONAL\n", ""),)
    ),
    "a role without a required user": Plant(
        methods.roles_need_a_user, "roles:", (("end_user: END_USER_REQUIRED", "end_user: END_USER_OPTIONAL"),)
    ),
    "fresh without a required user": Plant(
        methods.roles_need_a_user,
        "fresh:",
        (("end_user: END_USER_OPTIONAL", "end_user: END_USER_OPTIONAL fresh: true"),),
    ),
    "a role that is none": Plant(
        methods.roles_are_named, "ROLE_UNSPECIFIED", (("[ROLE_ADMINISTRATOR]", "[ROLE_UNSPECIFIED]"),)
    ),
    "a scope of another domain": Plant(
        methods.scopes_are_of_the_domain, "scope:", ((GET_USER, f'{GET_USER}      scope: "users.read"\n'),)
    ),
    "a scope that is no word": Plant(
        methods.scopes_are_of_the_domain, "scope:", ((GET_USER, f'{GET_USER}      scope: "shop.read.all"\n'),)
    ),
    "a scope where no token is looked at": Plant(
        methods.scopes_need_a_user, "scope:", ((COUNT_POLICY, f'{COUNT_POLICY}\n      scope: "shop.count"'),)
    ),
    "a scope beside a role that no key has": Plant(
        methods.scopes_open_something,
        "scope:",
        (("roles: [ROLE_ADMINISTRATOR]", 'roles: [ROLE_ADMINISTRATOR]\n      scope: "shop.buy"'),),
    ),
    "a reading scope that writes": Plant(
        methods.reading_scopes_change_nothing,
        "scope:",
        (("      roles: [ROLE_ADMINISTRATOR]\n", '      scope: "shop.read"\n'),),
    ),
    "no callers": Plant(methods.has_callers, "option (tulle.policy", (('      callers: ["billing"]\n', ""),)),
    "a caller that does not exist": Plant(
        methods.callers_exist, '["stranger"]', (('callers: ["billing"]', 'callers: ["stranger"]'),)
    ),
    "a caller whose sidecar does not know the way": Plant(
        methods.callers_call_the_owner, '"billing"', workloads=rows(billing={"calls": ()})
    ),
    "a way that nobody may go": Plant(methods.calls_are_used, "", workloads=rows(shop={"calls": ("billing",)})),
    "a service that nobody serves": Plant(
        methods.services_are_served,
        "service ShopService",
        workloads=rows(shop={"serves": ()}),
        also=(methods.calls_are_used,),
    ),
    "a service that two workloads serve": Plant(
        methods.services_are_served,
        "service ShopService",
        workloads=rows(billing={"serves": (SHOP,)}),
        also=(methods.callers_call_the_owner,),
    ),
    "a service whose events nobody sees": Plant(
        events.are_shown_to_the_operator, "", workloads=rows(shop={"needs": ("nats",)})
    ),
    "a served service that no proto defines": Plant(
        methods.served_services_exist, "", workloads=rows(billing={"serves": ("tulle.shop.v1.Gone",)})
    ),
    "no deadline": Plant(methods.has_deadline, "option (tulle.policy", (("      deadline: {seconds: 1}\n", ""),)),
    "a deadline beyond the end of a process": Plant(
        methods.deadlines_end_before_the_process, "deadline", (("deadline: {seconds: 1}", "deadline: {seconds: 60}"),)
    ),
    "an unlimited edge": Plant(methods.the_edge_is_limited, "option (tulle.policy", ((LIMIT, ""),)),
    "a limit without a time": Plant(methods.the_edge_is_limited, "rate_limit", (("        per: {seconds: 60}\n", ""),)),
    "a limit over a window of its own": Plant(
        methods.limits_have_a_window, "per", (("per: {seconds: 60}", "per: {seconds: 90}"),)
    ),
    "a limit where the edge cannot come": Plant(
        methods.only_the_edge_is_limited, "rate_limit", (('callers: ["billing"]\n', f'callers: ["billing"]\n{LIMIT}'),)
    ),
    "a reason in lower case": Plant(
        methods.reasons_are_constants, "sold_out", (("SOLD_OUT", "sold_out"),), also=(methods.reasons_are_raised,)
    ),
    "a reason that the service does not define": Plant(methods.reasons_are_raised, "SOLD_OUT", errors={"shop": {}}),
    "an event that does not exist": Plant(
        methods.emits_own_events, "tulle.shop.v1.Order", (("tulle.shop.v1.Bought", "tulle.shop.v1.Order"),)
    ),
    "events from a method without side effects": Plant(
        methods.effects_are_declared,
        "emits",
        (("deadline: {nanos: 500000000}", 'deadline: {nanos: 500000000}\n      emits: ["tulle.shop.v1.Sent"]'),),
    ),
    "a header of the platform": Plant(
        methods.headers_are_free,
        "authorization",
        (('reasons: ["SOLD_OUT"]', 'reasons: ["SOLD_OUT"]\n      headers: ["authorization"]'),),
    ),
    "a stream of requests": Plant(
        methods.clients_do_not_stream,
        "rpc CountOrders",
        (("(CountOrdersRequest) returns", "(stream CountOrdersRequest) returns"),),
    ),
    "a path where the edge cannot come": Plant(
        http.only_what_the_gateway_may_call,
        "(google.api.http)",
        ((COUNT_POLICY, COUNT_HTTP + COUNT_POLICY),),
    ),
    "an unknown verb": Plant(
        http.verbs_are_known,
        "custom",
        ((GET_RULE, '{custom: {kind: "HEAD" path: "/v1/orders/{order_id}"}}'),),
    ),
    "a path that is none": Plant(
        http.paths_can_be_read, "(google.api.http)", (("/v1/orders/{order_id}", "v1/orders/{order_id"),)
    ),
    "a variable of several segments": Plant(
        http.paths_can_be_documented, "get:", ((GET_RULE, '{get: "/v1/{order_id=orders/*}"}'),)
    ),
    "a variable without a name": Plant(
        http.paths_can_be_documented, "get:", ((GET_RULE, '{get: "/v1/*/orders/{order_id}"}'),)
    ),
    "bindings inside of bindings": Plant(
        http.bindings_do_not_nest,
        "additional_bindings",
        ((GET_RULE, f'{{get: "/v1/a/{{order_id}}" {NESTED}}}'),),
    ),
    "an answer that is one field": Plant(
        http.answers_are_whole,
        "response_body",
        ((GET_RULE, '{get: "/v1/orders/{order_id}" response_body: "create_time"}'),),
    ),
    "two methods on one path": Plant(
        http.paths_do_not_collide,
        "{post:",
        (
            (
                GET_RULE,
                TWO_RULES,
            ),
        ),
    ),
    "a variable that names no field": Plant(http.variables_name_fields, "{id}", (("{order_id}", "{id}"),)),
    "a variable that names a list": Plant(http.variables_name_fields, "{items}", (("{shop_id}", "{items}"),)),
    "a body that names no message": Plant(
        http.bodies_name_fields,
        "body",
        (('body: "*"', 'body: "email"'),),
        also=(http.queries_can_be_written, http.urls_carry_nothing_private),
    ),
    "a body that is a list": Plant(
        http.bodies_name_fields,
        "body",
        (('body: "*"', 'body: "items"'),),
        also=(http.urls_carry_nothing_private,),
    ),
    "a body that names no fields": Plant(
        http.bodies_name_fields,
        "body",
        (
            ('body: "*"', 'body: "more"'),
            (
                'import "google/protobuf/timestamp.proto"',
                'import "google/protobuf/struct.proto";\nimport "google/protobuf/timestamp.proto"',
            ),
            ("  // Whom to tell.", "  // What else.\n  google.protobuf.Struct more = 6;\n  // Whom to tell."),
        ),
        also=(http.queries_can_be_written, http.urls_carry_nothing_private),
    ),
    "a field in the path twice": Plant(
        http.fields_are_bound_once, "{order_id}", (("/v1/orders/{order_id}", "/v1/orders/{order_id}/{order_id}"),)
    ),
    "a 64-bit number in path and body": Plant(
        http.whole_bodies_repeat_no_number,
        "{shop_id}",
        (
            (
                SHOP_ID,
                "  int64 shop_id = 1;",
            ),
            ("// Where, such as `north`.", "// Where."),
        ),
    ),
    "a body on GET": Plant(
        http.reads_have_no_body,
        "body",
        ((GET_RULE, '{\n      get: "/v1/orders/{order_id}"\n      body: "*"\n    }'),),
    ),
    "a GET with side effects": Plant(
        http.verbs_keep_their_promise, "get:", (("    option idempotency_level = NO_SIDE_EFFECTS;\n", ""),)
    ),
    "a DELETE that is not idempotent": Plant(
        http.verbs_keep_their_promise,
        "delete:",
        (("    option idempotency_level = NO_SIDE_EFFECTS;\n", ""), ("{get:", "{delete:")),
    ),
    "personal data in a path": Plant(http.urls_carry_nothing_private, "{email}", (("{shop_id}", "{email}"),)),
    "a secret in a query": Plant(
        http.urls_carry_nothing_private,
        "(google.api.http)",
        (("  int32 detail_level = 2;", "  int32 detail_level = 2 [(tulle.policy.v1.field).secret = true];"),),
    ),
    "a list of messages in a query": Plant(
        http.queries_can_be_written,
        "(google.api.http)",
        (("  int32 detail_level = 2;", "  repeated Item detail = 2 [(buf.validate.field).repeated.max_items = 2];"),),
    ),
    "a list of times in a query": Plant(
        http.queries_can_be_written,
        "(google.api.http)",
        (
            (
                "  int32 detail_level = 2;",
                "  repeated google.protobuf.Timestamp times = 2 [(buf.validate.field).repeated.max_items = 2];",
            ),
        ),
    ),
    "a stream over REST": Plant(
        http.streams_say_how_they_end,
        "(google.api.http)",
        (("(GetOrderRequest) returns (Order)", "(GetOrderRequest) returns (stream Order)"),),
    ),
    "an event without subject": Plant(
        events.have_a_subject, "option (tulle.policy.v1.event)", (('    subject: "sent"\n', ""),)
    ),
    "an event with a subject of two parts": Plant(events.have_a_subject, "subject", (('"sent"', '"sent.twice"'),)),
    "two events on one subject": Plant(events.subjects_differ, "subject", (('"sent"', '"bought"'),)),
    "an event kept for no time": Plant(
        events.say_how_long_they_are_kept,
        "option (tulle.policy.v1.event)",
        (("    retention: {seconds: 86400}\n", ""),),
    ),
    "an event for a stranger": Plant(
        events.consumers_exist, "consumers", (('consumers: ["billing"]', 'consumers: ["gateway"]'),)
    ),
    "an event with personal data": Plant(
        events.carry_nothing_private,
        "string order_id",
        (
            (
                "  string order_id = 1;\n}\n\n// Something was sent",
                "  string order_id = 1 [(tulle.policy.v1.field).personal = true];\n}\n\n// Something was sent",
            ),
        ),
    ),
    "a text of any length": Plant(
        messages.texts_are_bounded,
        "string order_id",
        (
            (
                "    (buf.validate.field).string.min_len = 1,\n    (buf.validate.field).string.max_len = 40\n",
                "    (buf.validate.field).string.min_len = 1\n",
            ),
        ),
    ),
    "a text bounded by an endless pattern": Plant(
        messages.texts_are_bounded, "string shop_id", (("^[a-z]{1,20}$", "^[a-z]+$"),)
    ),
    "a list of any length": Plant(
        messages.lists_are_bounded,
        "repeated Item",
        (("min_items = 1,\n    (buf.validate.field).repeated.max_items = 10", "min_items = 1"),),
    ),
    "an enum open to any number": Plant(
        messages.enums_are_defined, "Kind kind", (("    (buf.validate.field).enum.defined_only = true,\n", ""),)
    ),
    "REQUIRED without a rule": Plant(
        messages.required_means_refused_when_empty,
        "string order_id",
        (("    (buf.validate.field).string.min_len = 1,\n", ""),),
    ),
    "a rule that requires, unsaid": Plant(
        messages.required_means_refused_when_empty,
        "string order_id",
        (("  string order_id = 1 [\n    (google.api.field_behavior) = REQUIRED,\n", "  string order_id = 1 [\n"),),
    ),
    "a rule that does not compile": Plant(
        messages.required_means_refused_when_empty,
        ITEM,
        (
            (
                "  // How many grams",
                BAD_CEL,
            ),
        ),
        also=(messages.examples_fit,),
    ),
    "an example that does not fit": Plant(messages.examples_fit, "string shop_id", (("`north`", "`North`"),)),
    "an example of another type": Plant(messages.examples_fit, "message BuyRequest", (("`2`", "`two`"),)),
}


def test_the_good_contract_is_good(tmp_path: Path) -> None:
    """A contract that keeps all rules yields no finding."""
    assert check.findings(shop(tmp_path)) == []


@pytest.mark.parametrize("fault", PLANTS)
def test_a_planted_fault_is_found(fault: str, tmp_path: Path) -> None:
    """Exactly the rule of the fault speaks, names its line and says what to do."""
    plant = PLANTS[fault]
    project = shop(tmp_path, broken(GOOD, plant.changes), plant.workloads, plant.errors)
    spoken: dict[Rule, list[Finding]] = {rule: list(rule(project)) for rule in check.RULES}
    assert {rule for rule, found in spoken.items() if found} == {plant.rule, *plant.also}
    for found in spoken[plant.rule]:
        assert plant.line in named_line(tmp_path, found.where)
        assert found.fix


def named_line(folder: Path, where: str) -> str:
    """The text of the line at `file:line`."""
    if where == "services/topology.py":
        return ""
    file, _, line = where.partition(":")
    assert file == f"protos/{FILE}"
    return (folder / file).read_text().splitlines()[int(line) - 1]


def test_every_rule_has_a_planted_fault() -> None:
    """A rule that was never seen to speak is not trusted."""
    assert {plant.rule for plant in PLANTS.values()} == set(check.RULES)


def test_all_faults_are_reported_at_once(tmp_path: Path) -> None:
    """Who breaks two rules hears of both."""
    project = shop(tmp_path, broken(GOOD, [("      deadline: {seconds: 1}\n", ""), ('"sent"', '"bought"')]))
    assert len(check.findings(project)) == 2


def test_anothers_event_cannot_be_emitted(tmp_path: Path) -> None:
    """A domain publishes its own events only."""
    project = shop(tmp_path, broken(GOOD, [("tulle.shop.v1.Bought", "tulle.shop.v1.Sent")]))
    sent = replace(project.contract.events["tulle.shop.v1.Sent"], domain="post")
    contract = replace(project.contract, events={**project.contract.events, sent.message: sent})
    (found,) = methods.emits_own_events(replace(project, contract=contract))
    assert "belongs to another domain" in found.what
