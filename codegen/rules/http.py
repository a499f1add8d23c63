"""Rules for what a method looks like over REST (google.api.http)."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from google.protobuf import descriptor_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from codegen.bindings import Binding, bindings, is_message, resolve
from codegen.project import Project
from codegen.rules.finding import Finding
from codegen.rules.methods import full_name
from codegen.source import HTTP
from gateway import templates
from gateway.fields import FREE
from mesh import contract
from mesh.contract import Method
from services.topology import GATEWAY

VERBS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_LEVELS = descriptor_pb2.MethodOptions
_SAFE_LEVELS = {
    "GET": {_LEVELS.NO_SIDE_EFFECTS},
    "PUT": {_LEVELS.NO_SIDE_EFFECTS, _LEVELS.IDEMPOTENT},
    "DELETE": {_LEVELS.NO_SIDE_EFFECTS, _LEVELS.IDEMPOTENT},
}


def found(project: Project, method: Method, word: str, what: str, fix: str) -> Finding:
    """A finding at the line of the method's HTTP rule that has `word`."""
    return Finding(project.source.where(full_name(method), HTTP, word), f"{method.path} {what}", fix)


def only_what_the_gateway_may_call(project: Project) -> Iterator[Finding]:
    for method in project.contract.methods:
        if method.http and GATEWAY not in method.callers:
            fix = 'add "gateway" to `callers` of its policy, or drop the google.api.http option'
            yield found(project, method, "", "has an HTTP rule, but the gateway may not call it", fix)


def verbs_are_known(project: Project) -> Iterator[Finding]:
    for method in project.contract.methods:
        for rule in method.http:
            if rule.verb not in VERBS:
                what = f"is bound to the verb `{rule.verb}`" if rule.verb else "has an HTTP rule without verb and path"
                yield found(project, method, rule.verb, what, f"take one of {', '.join(VERBS).lower()}")


def paths_can_be_read(project: Project) -> Iterator[Finding]:
    for method in project.contract.methods:
        for rule in method.http:
            try:
                templates.parse(rule.path)
            except templates.BadTemplate:
                fix = "write it as /v1/things/{field_name}:verb (google/api/http.proto)"
                yield found(project, method, "", f"has the path `{rule.path}`, which is no template", fix)


def paths_do_not_collide(project: Project) -> Iterator[Finding]:
    for one, other in itertools.combinations(bindings(project.contract), 2):
        if one.rule.verb == other.rule.verb and one.template.collides(other.template):
            what = f"and {one.method.path} are both bound to {one.rule.verb} {other.rule.path}"
            fix = "give one of them another path or verb; names of variables do not tell paths apart"
            yield found(project, other.method, other.rule.verb.lower(), what, fix)


def variables_name_fields(project: Project) -> Iterator[Finding]:
    for binding in bindings(project.contract):
        for name, field in binding.path:
            if field is None or is_message(field) or field.is_repeated:
                what = f"has the path variable `{name}`, which is no single value in {binding.method.input}"
                yield found(project, binding.method, name, what, "name a scalar field of the request")


def paths_can_be_documented(project: Project) -> Iterator[Finding]:
    """OpenAPI knows variables of one segment only; a client made from it would escape the slashes of a longer one."""
    for binding in bindings(project.contract):
        if not templates.documentable(binding.rule.path):
            what = f"has the path `{binding.rule.path}`, in which a variable is more than one segment or has no name"
            fix = "name one field for each variable segment: /v1/shelves/{shelf_id}/books/{book_id}"
            yield found(project, binding.method, binding.rule.verb.lower(), what, fix)


def bindings_do_not_nest(project: Project) -> Iterator[Finding]:
    """Envoy and this build read one level of `additional_bindings` (google/api/http.proto allows no more)."""
    for method, rule in _rules(project):
        if any(binding.additional_bindings for binding in rule.additional_bindings):
            fix = "put all of them into the outer rule's additional_bindings"
            yield found(project, method, "additional_bindings", "has bindings inside of additional_bindings", fix)


def answers_are_whole(project: Project) -> Iterator[Finding]:
    """Envoy does not start with a `response_body` that names a message."""
    for method, rule in _rules(project):
        if any(binding.response_body for binding in (rule, *rule.additional_bindings)):
            fix = "return the message itself from the RPC, and drop `response_body`"
            yield found(project, method, "response_body", "has a `response_body`, which the gateway cannot do", fix)


def _rules(project: Project) -> Iterator[tuple[Method, Any]]:
    for method in project.contract.methods:
        descriptor = project.contract.pool.FindMethodByName(full_name(method))
        rule = contract.option(descriptor, "MethodOptions", "google.api.http", project.contract.pool)
        if rule is not None:
            yield method, rule


def bodies_name_fields(project: Project) -> Iterator[Finding]:
    for binding in bindings(project.contract):
        body = binding.rule.body
        field = _request(project, binding).fields_by_name.get(body)
        if body not in ("", "*") and (field is None or not is_message(field) or field.is_repeated or _free(field)):
            what = f"has the body `{body}`, which is no single message with fields in {binding.method.input}"
            yield found(project, binding.method, "body", what, 'name a field that is a message, or use body: "*"')


def _free(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.full_name in FREE


def fields_are_bound_once(project: Project) -> Iterator[Finding]:
    for binding in bindings(project.contract):
        names = [name for name, _ in binding.path]
        for name in names:
            if names.count(name) > 1 or name.partition(".")[0] == binding.rule.body:
                what = f"binds `{name}` more than once, in path and body or twice in the path"
                yield found(project, binding.method, name, what, "bind each field once (google/api/http.proto)")
                break


def whole_bodies_repeat_no_number(project: Project) -> Iterator[Finding]:
    """Envoy compares a 64-bit value that is in path and body through 32 bits."""
    for binding in bindings(project.contract):
        for name, field in binding.path if binding.rule.body == "*" else ():
            if field is not None and field.cpp_type in (FieldDescriptor.CPPTYPE_INT64, FieldDescriptor.CPPTYPE_UINT64):
                what = f"could get the 64-bit `{name}` from path and body, which the gateway compares wrongly"
                yield found(project, binding.method, name, what, "make the id a string, or name one field as body")


def reads_have_no_body(project: Project) -> Iterator[Finding]:
    for binding in bindings(project.contract):
        if binding.rule.verb in ("GET", "DELETE") and binding.rule.body:
            what = f"has a body on {binding.rule.verb}, which proxies may drop (RFC 9110)"
            yield found(project, binding.method, "body", what, "drop `body`, or take POST with a custom verb")


def verbs_keep_their_promise(project: Project) -> Iterator[Finding]:
    """Clients and proxies repeat GET, PUT and DELETE (RFC 9110), and browsers fetch GET unasked."""
    for binding in bindings(project.contract):
        descriptor = project.contract.pool.FindMethodByName(full_name(binding.method))
        level = descriptor.GetOptions().idempotency_level
        if level not in _SAFE_LEVELS.get(binding.rule.verb, {level}):
            promise = "NO_SIDE_EFFECTS" if binding.rule.verb == "GET" else "IDEMPOTENT"
            what = f"is bound to {binding.rule.verb} but does not say that it is {promise}"
            fix = f"option idempotency_level = {promise}; if that is true, else take POST"
            yield found(project, binding.method, binding.rule.verb.lower(), what, fix)


def urls_carry_nothing_private(project: Project) -> Iterator[Finding]:
    """URLs end up in logs, histories and referrers."""
    for binding in bindings(project.contract):
        in_path = [(name, "path") for name, _ in binding.path]
        for name, where in (*in_path, *((name, "query") for name, _ in binding.query)):
            if _private(project, binding, name):
                what = f"would carry `{name}`, which is marked personal or secret, in the URL's {where}"
                yield found(project, binding.method, name, what, 'take POST or PATCH with body: "*"')


def _private(project: Project, binding: Binding, path: str) -> bool:
    """A mark on any message on the way counts for what is inside it."""
    request, parts = _request(project, binding), path.split(".")
    ways = (resolve(request, ".".join(parts[: i + 1])) for i in range(len(parts)))
    return any(field is not None and contract.sensitive(field, project.contract.pool) for field in ways)


def queries_can_be_written(project: Project) -> Iterator[Finding]:
    for binding in bindings(project.contract):
        for name, field in binding.query:
            if field.message_type is not None and (field.is_repeated or is_message(field)):
                what = f"would carry `{name}`, a list or map of messages, in the query, which cannot be written there"
                yield found(project, binding.method, "", what, 'put it into the body: body: "*"')


def streams_say_how_they_end(project: Project) -> Iterator[Finding]:
    """Over REST a stream that fails midway ends like a good one, unless its last message says so."""
    for method in project.contract.methods:
        if method.http and method.server_streaming and not _has_error(project, method):
            what = "streams its answer over REST, which hides a failure midway"
            fix = f"add `google.rpc.Status error` to {method.output}, or return pages instead (AIP-158)"
            yield found(project, method, "", what, fix)


def _has_error(project: Project, method: Method) -> bool:
    field = project.contract.pool.FindMessageTypeByName(method.output).fields_by_name.get("error")
    kind = field.message_type if field is not None and not field.is_repeated else None
    return kind is not None and kind.full_name == "google.rpc.Status"


def _request(project: Project, binding: Binding) -> Descriptor:
    request: Descriptor = project.contract.pool.FindMessageTypeByName(binding.method.input)
    return request


RULES = (
    only_what_the_gateway_may_call,
    verbs_are_known,
    paths_can_be_read,
    paths_can_be_documented,
    bindings_do_not_nest,
    answers_are_whole,
    paths_do_not_collide,
    variables_name_fields,
    bodies_name_fields,
    fields_are_bound_once,
    whole_bodies_repeat_no_number,
    reads_have_no_body,
    verbs_keep_their_promise,
    urls_carry_nothing_private,
    queries_can_be_written,
    streams_say_how_they_end,
)
