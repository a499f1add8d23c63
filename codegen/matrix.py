"""The policy matrix as a page: each RPC × each kind of caller × each door, as tests/e2e tries it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from codegen.pages import table
from codegen.project import Project
from mesh.contract import NONE, OPTIONAL, Method
from services.topology import GATEWAY, OPERATOR, Workload

YES, NO_TOKEN, NO_RIGHT, NO_DOOR = "yes", "401", "403", "–"
_MADE = "<!-- Made by `python -m codegen` from protos/ and services/topology.py; do not edit. -->"
_ABOUT = f"""# The policy matrix

{_MADE}

Who may call what, and through which door. `{YES}`: the call reaches the service, whose own rules about
[whose things it is](policy.md#whose-things) come after. `{NO_TOKEN}`: UNAUTHENTICATED. `{NO_RIGHT}`: PERMISSION_DENIED.
`{NO_DOOR}`: there is no such door (REST has no path; a sidecar refuses the connection of a workload that may call
nothing there). `key`: an [API key](api-keys.md), by a token that it was exchanged for, with the scope that is named;
with any other it is `{NO_RIGHT}`. A token that is expired, forged or for somebody else is `{NO_TOKEN}` wherever a
token is looked at.

A token says what its holder is in the organisation that it is for. `user` is the owner of theirs, as everybody is of
their personal one; `manager` and `member` are in somebody's; `administrator` is a user with that role of the platform;
`key` is one of an owner.

`tests/e2e/test_policy_matrix.py` tries every cell on the running stack, each with fifteen kinds of token."""

HELD: Mapping[str, frozenset[str] | None] = {
    "nobody": None,
    "user": frozenset({"owner"}),
    "manager": frozenset({"manager"}),
    "member": frozenset({"member"}),
    "administrator": frozenset({"administrator", "owner"}),
}
"""The columns: who calls, and the roles in their token; None for who has none."""


def render(project: Project) -> str:
    """The whole page."""
    parts = [_ABOUT]
    for name in sorted(project.contract.services):
        methods = project.contract.services[name].methods
        parts += [f"## {name}", "At the edge, over REST and gRPC alike:"]
        parts.append(table(("method", "REST", "gRPC", *HELD, "key"), map(_edge, methods)))
        workloads = [workload.name for workload in project.workloads]
        for owner in project.owners(name):
            parts.append(f"At the sidecar of `{owner.name}`, by whose certificate is shown, for an end user who may:")
            parts.append(table(("method", *workloads), (_mesh(m, owner, project) for m in methods)))
    return "\n\n".join(parts) + "\n"


def _edge(method: Method) -> Iterator[str]:
    open_ = GATEWAY in method.callers
    yield method.name
    yield "<br>".join(f"`{rule.verb} {rule.path}`" for rule in method.http) if open_ and method.http else NO_DOOR
    yield YES if open_ else NO_RIGHT
    for held in HELD.values():
        yield at_edge(method, held)
    yield by_key(method)


def at_edge(method: Method, held: frozenset[str] | None) -> str:
    """What comes of a call at the edge for somebody who holds these roles; None: without a token."""
    if GATEWAY not in method.callers:
        return NO_RIGHT
    if held is None:
        return YES if method.end_user in (NONE, OPTIONAL) else NO_TOKEN
    return NO_RIGHT if method.roles and not method.roles & held else YES


def by_key(method: Method) -> str:
    """What comes of a call at the edge by an API key, or the scope with which it is let in."""
    if GATEWAY not in method.callers:
        return NO_RIGHT
    if method.end_user == NONE:
        return YES
    return f"`{method.scope}`" if method.scope else NO_RIGHT


def _mesh(method: Method, owner: Workload, project: Project) -> Iterator[str]:
    yield method.name
    for workload in project.workloads:
        yield inside(method, owner, workload, project)


def inside(method: Method, owner: Workload, workload: Workload, project: Project) -> str:
    """What comes of a call with the certificate of `workload` at the sidecar of `owner`, which serves the method."""
    if workload.name in method.callers:
        return YES
    served = [m for name in owner.serves for m in project.contract.services[name].methods]
    # The operator may ask every service for its health.
    known = {caller for one in served for caller in one.callers} | {OPERATOR}
    return NO_RIGHT if workload.name in known else NO_DOOR
