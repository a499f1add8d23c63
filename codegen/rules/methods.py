"""Rules for the policy of each method (tulle.policy.v1.method)."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

from google.protobuf import descriptor_pb2

from codegen.project import Project
from codegen.rules.finding import Finding
from codegen.source import METHOD
from gateway.shared_limits import UNITS
from mesh import contract
from mesh.contract import OPTIONAL, REQUIRED, Method
from mesh.limits import DRAIN
from mesh.model import PLATFORM_ROLES
from services.topology import GATEWAY, OPERATOR

POLICY = "tulle.policy.v1.method"


def full_name(method: Method) -> str:
    """`package.Service.Method`, by which descriptors and comments are found."""
    return f"{method.service}.{method.name}"


def found(project: Project, method: Method, word: str, what: str, fix: str) -> Finding:
    """A finding at the line of the method's policy that has `word`."""
    where = project.source.where(full_name(method), METHOD, word)
    return Finding(where, f"{method.path} {what}", fix)


def _with_policy(project: Project) -> Iterator[Method]:
    """The other rules leave a method without a policy alone: one finding says it."""
    return (method for method in project.contract.methods if _has_policy(project, method))


def _has_policy(project: Project, method: Method) -> bool:
    pool = project.contract.pool
    descriptor = pool.FindMethodByName(full_name(method))
    return contract.option(descriptor, "MethodOptions", POLICY, pool) is not None


def has_policy(project: Project) -> Iterator[Finding]:
    for method in project.contract.methods:
        if not _has_policy(project, method):
            yield found(project, method, "", "has no policy", f"state who may call it: option ({POLICY}) = {{...}}")


def says_end_user(project: Project) -> Iterator[Finding]:
    for method in _with_policy(project):
        if not method.end_user:
            fix = "set end_user to END_USER_NONE, END_USER_OPTIONAL or END_USER_REQUIRED"
            yield found(project, method, "end_user", "does not say whether it needs an end user", fix)


def roles_need_a_user(project: Project) -> Iterator[Finding]:
    for method in _with_policy(project):
        for word, used in (("roles", method.roles), ("fresh", method.fresh)):
            if used and method.end_user != REQUIRED:
                what = f"asks for `{word}` of an end user who may be missing"
                yield found(project, method, word, what, f"set end_user to END_USER_REQUIRED, or drop `{word}`")


def roles_are_named(project: Project) -> Iterator[Finding]:
    for method in _with_policy(project):
        if "unspecified" in method.roles:
            fix = "name a role of tulle.policy.v1.Role, or drop `roles` for any signed-in user"
            yield found(project, method, "ROLE_UNSPECIFIED", "lists ROLE_UNSPECIFIED", fix)


def scopes_are_of_the_domain(project: Project) -> Iterator[Finding]:
    """Whoever gives a key a scope sees from its name what it opens."""
    for method in _with_policy(project):
        domain = project.contract.services[method.service].domain
        if method.scope and not re.fullmatch(rf"{domain}\.[a-z]+", method.scope):
            fix = f"name it by the domain and a word in lower case, such as {domain}.read"
            yield found(project, method, "scope", f"has the scope `{method.scope}`", fix)


def scopes_need_a_user(project: Project) -> Iterator[Finding]:
    for method in _with_policy(project):
        if method.scope and method.end_user not in (OPTIONAL, REQUIRED):
            fix = "set end_user to END_USER_OPTIONAL or END_USER_REQUIRED, or drop `scope`"
            yield found(project, method, "scope", "asks for a `scope`, but looks at no token", fix)


def scopes_open_something(project: Project) -> Iterator[Finding]:
    """No key has a role of the platform's, so that a scope beside nothing else opens nothing."""
    for method in _with_policy(project):
        if method.scope and method.roles and method.roles <= PLATFORM_ROLES:
            what = f"has a `scope`, though no API key is {' or '.join(sorted(method.roles))}"
            yield found(project, method, "scope", what, "drop `scope`: only people may call it")


def reading_scopes_change_nothing(project: Project) -> Iterator[Finding]:
    for method in _with_policy(project):
        if method.scope.endswith(".read") and _level(project, method) != descriptor_pb2.MethodOptions.NO_SIDE_EFFECTS:
            what = f"has the scope `{method.scope}`, but may change something"
            fix = "set idempotency_level to NO_SIDE_EFFECTS if it only reads, or take another scope"
            yield found(project, method, "scope", what, fix)


def has_callers(project: Project) -> Iterator[Finding]:
    for method in _with_policy(project):
        if not method.callers:
            fix = "list the workloads that may call it in `callers`, or delete the method"
            yield found(project, method, "callers", "may be called by nobody", fix)


def callers_exist(project: Project) -> Iterator[Finding]:
    names = {workload.name for workload in project.workloads}
    for method in _with_policy(project):
        for caller in sorted(method.callers - names):
            what = f"may be called by `{caller}`, which is no workload"
            fix = f"take one of {', '.join(sorted(names))}, or add a row to services/topology.py"
            yield found(project, method, caller, what, fix)


def callers_call_the_owner(project: Project) -> Iterator[Finding]:
    """The topology decides which sidecars know the way; a caller without it could never arrive."""
    rows = {workload.name: workload for workload in project.workloads}
    for method in _with_policy(project):
        for caller, owner in itertools.product(sorted(method.callers & rows.keys()), project.owners(method.service)):
            if owner.name not in rows[caller].calls:
                what = f"may be called by `{caller}`, whose row in the topology does not call `{owner.name}`"
                fix = f'add "{owner.name}" to `calls` of {caller} in services/topology.py, or drop the caller'
                yield found(project, method, caller, what, fix)


def calls_are_used(project: Project) -> Iterator[Finding]:
    """Least privilege: no sidecar knows a way on which no method lets it go."""
    methods = list(project.contract.methods)
    for workload in project.workloads:
        for called in workload.calls:
            if not any(workload.name in m.callers and m.service in _serves(project, called) for m in methods):
                what = f"`{workload.name}` calls `{called}`, but no method of `{called}` lists it in `callers`"
                fix = f'drop "{called}" from `calls` of {workload.name}, or list the caller in a method\'s policy'
                yield Finding("services/topology.py", what, fix)


def _serves(project: Project, workload: str) -> tuple[str, ...]:
    return next((row.serves for row in project.workloads if row.name == workload), ())


def services_are_served(project: Project) -> Iterator[Finding]:
    """By one workload, which its name then stands for. What is for the operator alone may be served by several."""
    for name, service in project.contract.services.items():
        owners = [workload.name for workload in project.owners(name)]
        shared = bool(owners) and all(method.callers == {OPERATOR} for method in service.methods)
        if len(owners) != 1 and not shared:
            what = f"{name} is served by {' and '.join(owners) or 'no workload'}"
            fix = f'list "{name}" in `serves` of exactly one workload in services/topology.py'
            yield Finding(project.source.where(name), what, fix)


def served_services_exist(project: Project) -> Iterator[Finding]:
    for workload in project.workloads:
        for service in workload.serves:
            if service not in project.contract.services:
                what = f"`{workload.name}` serves {service}, which no proto defines"
                yield Finding("services/topology.py", what, "define the service in protos/, or drop it from `serves`")


def has_deadline(project: Project) -> Iterator[Finding]:
    for method in _with_policy(project):
        if method.deadline <= 0:
            fix = "say how long a call may take at most: deadline: {seconds: 3}"
            yield found(project, method, "deadline", "has no deadline", fix)


def deadlines_end_before_the_process(project: Project) -> Iterator[Finding]:
    """A process that stops waits for its calls; a stream is ended then."""
    for method in _with_policy(project):
        if not method.server_streaming and method.deadline >= DRAIN:
            what = f"may take {method.deadline:g} s, while a process that stops waits {DRAIN:g} s for its calls"
            yield found(project, method, "deadline", what, "give it less time, or answer at once and announce the end")


def the_edge_is_limited(project: Project) -> Iterator[Finding]:
    for method in _with_policy(project):
        limit = method.rate_limit
        if GATEWAY in method.callers and (limit is None or limit.per <= 0):
            fix = "say how often one principal may call: rate_limit: {requests: 60 per: {seconds: 60}}"
            yield found(project, method, "rate_limit", "is open to the outside without a rate limit", fix)


def limits_have_a_window(project: Project) -> Iterator[Finding]:
    for method in _with_policy(project):
        if method.rate_limit and method.rate_limit.per and method.rate_limit.per not in UNITS:
            what = f"is limited over {method.rate_limit.per:g} s, a window that gateways cannot share"
            fix = "limit it over a second, a minute, an hour or a day: 1, 60, 3600 or 86400 seconds"
            yield found(project, method, "per", what, fix)


def only_the_edge_is_limited(project: Project) -> Iterator[Finding]:
    for method in _with_policy(project):
        if method.rate_limit and GATEWAY not in method.callers:
            what = "has a rate limit that nothing enforces: the gateway may not call it"
            yield found(project, method, "rate_limit", what, 'drop `rate_limit`, or add "gateway" to `callers`')


def reasons_are_constants(project: Project) -> Iterator[Finding]:
    for method in _with_policy(project):
        for reason in sorted(method.reasons):
            if not re.fullmatch(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)*", reason):
                yield found(project, method, reason, f"has the reason `{reason}`", "write it in UPPER_SNAKE_CASE")


def reasons_are_raised(project: Project) -> Iterator[Finding]:
    """A service that is written defines a class for each reason that its methods promise."""
    for method in _with_policy(project):
        domain = project.contract.services[method.service].domain
        defined = project.errors[domain].keys() if domain in project.errors else method.reasons
        for reason in sorted(method.reasons - defined):
            name = "".join(word.title() for word in reason.split("_"))
            what = f"promises the reason `{reason}`, which services/{domain} does not define"
            fix = f"define `class {name}(...)` in services/{domain}/domain.py, or drop the reason"
            yield found(project, method, reason, what, fix)


def emits_own_events(project: Project) -> Iterator[Finding]:
    for method in _with_policy(project):
        domain = project.contract.services[method.service].domain
        own = sorted(event.message for event in project.contract.events.values() if event.domain == domain)
        for event in sorted(set(method.emits) - set(own)):
            whose = "belongs to another domain" if event in project.contract.events else "is no event"
            fix = f"take one of {', '.join(own) or 'none: define an event message first'}"
            yield found(project, method, event, f"emits `{event}`, which {whose}", fix)


def effects_are_declared(project: Project) -> Iterator[Finding]:
    for method in _with_policy(project):
        if method.emits and _level(project, method) == descriptor_pb2.MethodOptions.NO_SIDE_EFFECTS:
            what = "emits events but says NO_SIDE_EFFECTS"
            fix = "set idempotency_level to IDEMPOTENT if a repetition changes nothing more, else drop it"
            yield found(project, method, "emits", what, fix)


def _level(project: Project, method: Method) -> int:
    return int(project.contract.pool.FindMethodByName(full_name(method)).GetOptions().idempotency_level)


def headers_are_free(project: Project) -> Iterator[Finding]:
    """A method reads no header that means something to the platform itself."""
    for method in _with_policy(project):
        for name in sorted(method.headers):
            if not re.fullmatch(r"[a-z][a-z-]*", name) or name.startswith(("x-", "grpc-")) or name in _OWN_HEADERS:
                what = f"reads the header `{name}`, which is the platform's own or no name in lower case"
                yield found(project, method, name, what, "take a field of the request, or `call.caller` for who calls")


_OWN_HEADERS = ("authorization", "content-type", "cookie", "host", "te", "traceparent", "tracestate", "user-agent")


def clients_do_not_stream(project: Project) -> Iterator[Finding]:
    for method in project.contract.methods:
        if project.contract.pool.FindMethodByName(full_name(method)).client_streaming:
            fix = "take a repeated field with max_items; the pipeline knows unary calls and server streams"
            yield Finding(project.source.where(full_name(method)), f"{method.path} streams its requests", fix)


RULES = (
    has_policy,
    says_end_user,
    roles_need_a_user,
    roles_are_named,
    scopes_are_of_the_domain,
    scopes_need_a_user,
    scopes_open_something,
    reading_scopes_change_nothing,
    has_callers,
    callers_exist,
    callers_call_the_owner,
    calls_are_used,
    services_are_served,
    served_services_exist,
    has_deadline,
    deadlines_end_before_the_process,
    the_edge_is_limited,
    limits_have_a_window,
    only_the_edge_is_limited,
    reasons_are_constants,
    reasons_are_raised,
    emits_own_events,
    effects_are_declared,
    headers_are_free,
    clients_do_not_stream,
)
