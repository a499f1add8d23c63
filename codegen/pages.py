"""Pages for readers that are made from the contract and the topology (Markdown)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from codegen.project import Project
from infra.limits import TABLE
from mesh.contract import Event, Method
from services.objects import OK, Object, objects
from services.topology import BOXES, Workload

_MADE = "<!-- Made by `python -m codegen` from protos/ and services/topology.py; do not edit. -->"


def policy(project: Project) -> str:
    """Who may call what, through which door, how often and for how long; and who hears of what."""
    parts = ["# Who may call what", _MADE, _ABOUT]
    for name in sorted(project.contract.services):
        methods = project.contract.services[name].methods
        owners = ", ".join(f"`{owner.name}`" for owner in project.owners(name))
        parts += [f"## {name}", f"{project.source.comment(name)} Served by {owners}."]
        parts.append(table(_METHOD_COLUMNS, map(_method, methods)))
    parts += ["## Scopes of API keys", _SCOPES, table(("scope", "opens"), _scopes(project))]
    parts += ["## Whose things", _OBJECTS, table(_OBJECT_COLUMNS, map(_object, objects()))]
    events = sorted(project.contract.events.values(), key=lambda event: event.subject)
    parts += ["## Events", table(_EVENT_COLUMNS, map(_event, events))]
    return "\n\n".join(parts) + "\n"


_ABOUT = (
    "Two questions, and both must pass: which *workload* calls, and for which *end user*. `gateway` there opens a "
    "method to the outside: over gRPC, and over REST where a path is given. Everything else is refused. The "
    "[matrix](matrix.md) says the same for each kind of caller and each door."
)
_SCOPES = (
    "What an [API key](api-keys.md) can be made for. A method that is not here may be called by people only, unless it "
    "needs no end user at all."
)
_OBJECTS = (
    "Where a request names an object, the service's own rules decide whose it may be (services/*/objects.py). Every "
    "person has an organisation of their own, so that others are also those of other organisations. What is not there "
    "and what is not yours are refused alike."
)
_OBJECT_COLUMNS = ("method", "names", "another's", "another's, to an administrator", "of which is shown")
_METHOD_COLUMNS = (
    "method",
    "REST",
    "workloads",
    "end user",
    "API key",
    "limit",
    "deadline",
    "repeated by the mesh",
    "emits",
)
_EVENT_COLUMNS = ("event", "subject", "producer", "consumers", "kept in the stream")


def _method(method: Method) -> Iterator[str]:
    yield method.name
    yield "<br>".join(f"`{rule.verb} {rule.path}`" for rule in method.http)
    yield ", ".join(sorted(method.callers))
    yield _end_user(method)
    yield f"`{method.scope}`" if method.scope else ""
    limit = method.rate_limit
    yield f"{limit.requests} in {limit.per:g} s" if limit else ""
    yield f"{method.deadline:g} s"
    yield "yes" if method.retry_safe else "no"
    yield ", ".join(event.rpartition(".")[2] for event in method.emits)


def _end_user(method: Method) -> str:
    roles = f" with role {' or '.join(sorted(method.roles))}" if method.roles else ""
    return method.end_user + roles + (", asked of auth at each call" if method.fresh else "")


def _scopes(project: Project) -> Iterator[tuple[str, str]]:
    for scope in sorted(project.contract.scopes):
        opened = (method for method in project.contract.methods if method.scope == scope)
        yield f"`{scope}`", ", ".join(f"{one.service.rpartition('.')[2]}/{one.name}" for one in opened)


def _object(row: Object) -> Iterator[str]:
    yield row.method.rpartition("/")[2]
    yield f"`{row.field}`, {'an' if row.kind[0] in 'aeio' else 'a'} {row.kind.replace('_', ' ')}"
    yield _verdict(row.others)
    yield _verdict(row.administrators)
    yield ", ".join(f"`{name}`" for name in sorted(row.shown))


def _verdict(outcome: str) -> str:
    return "allowed" if outcome == OK else f"`{outcome}`"


def _event(event: Event) -> Iterator[str]:
    yield event.message.rpartition(".")[2]
    yield f"`{event.subject}`"
    yield event.domain
    yield ", ".join(sorted(event.consumers))
    days = event.retention / 86400
    yield f"{days:g} day{'' if days == 1 else 's'}"


def table(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table."""
    columns = list(columns)
    lines = [columns, ["---"] * len(columns), *map(list, rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def topology(project: Project) -> str:
    """What runs, and who calls whom."""
    columns = ("workload", "what it is for", "serves", "calls", "needs")
    rows = map(_workload, project.workloads)
    boxes = table(("box", "what it is"), ((box.name, box.what) for box in BOXES))
    parts = ["# What runs, and who calls whom", _MADE, diagram(project).rstrip(), table(columns, rows), boxes]
    return "\n\n".join(parts) + "\n"


def _workload(workload: Workload) -> Iterator[str]:
    yield workload.name
    yield workload.what
    yield "<br>".join(workload.serves)
    yield ", ".join(workload.calls)
    yield ", ".join(workload.needs)


def diagram(project: Project) -> str:
    """The processes and who calls whom (Mermaid, which code hosts draw)."""
    return "```mermaid\n" + "\n".join(["flowchart LR", *_edges(project)]) + "\n```\n"


def _edges(project: Project) -> Iterator[str]:
    yield '    people(["people and programs"]) -->|REST, gRPC| gateway'
    for workload in project.workloads:
        yield f'    {workload.name}["{workload.name}: {workload.what}"]'
    for box in sorted({need for workload in project.workloads for need in workload.needs}):
        yield f"    {box}[({box})]"
    for workload in project.workloads:
        yield from (f"    {workload.name} -->|mTLS| {called}" for called in workload.calls)
        yield from (f"    {workload.name} -.-> {box}" for box in workload.needs)


def limits(project: Project) -> str:
    """Every number with its reason."""
    rows = sorted(TABLE, key=lambda row: row.name)
    numbers = table(
        ("name", "value", "unit", "why"), (iter((r.name, _number(r.value), r.unit, r.reason)) for r in rows)
    )
    about = "Nothing grows without a bound. The numbers stand beside the code that keeps them, each made by `limit(…)`."
    return f"# Limits\n\n<!-- Made by `python -m codegen`; do not edit. -->\n\n{about}\n\n{numbers}\n"


def _number(value: float) -> str:
    return f"{int(value):,}" if value == int(value) else f"{value:g}"
