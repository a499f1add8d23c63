"""What `./tulle new` writes: templates with names put in, and the few places that name each service."""

from __future__ import annotations

import ast
import re
from datetime import UTC, datetime
from pathlib import Path

from infra.cli.names import Names, Refused

ASKED = "GetJwks"
"""What every service asks of auth: the keys of tokens."""
MEANT = "callers-looser tulle.auth.v1.KeysService/GetJwks"
"""What `./tulle breaking` calls that."""


def service(root: Path, called: Names) -> dict[Path, str]:
    """Each file of the service and each file that names it, with its new text. Writes nothing. Raises: Refused."""
    stamp = datetime.now(UTC).strftime("%Y%m%d%H%M%S")
    made = {root / inside.replace("STAMP", stamp): text for inside, text in called.files()}
    if taken := [path for path in made if path.exists()]:
        raise Refused(f"{taken[0].relative_to(root)} is there already")
    for inside, edit in EDITS.items():
        made[root / inside] = edit((root / inside).read_text(), called)
    return made


def with_row(source: str, called: Names) -> str:
    """The topology with one more row at the end of SERVICES."""
    targets = (node for node in ast.parse(source).body if isinstance(node, ast.Assign))
    table = next(node.value for node in targets if ast.unparse(node.targets[0]) == "SERVICES")
    lines = source.splitlines(keepends=True)
    assert table.end_lineno
    values = called.values()
    row = f"""    Workload(
        "{called.name}",
        "the {values["words"]} of people",
        module="services.{called.name}.main",
        serves=("tulle.{called.name}.v1.{values["Name"]}Service", EVENTS),
        needs=("postgres", "nats"),
        calls=("auth",),
        keys=("page-key",),
    ),
"""
    lines.insert(table.end_lineno - 1, row)
    return "".join(lines)


def with_caller(proto: str, called: Names) -> str:
    """auth's contract with the service among the callers of what every service asks of it."""
    found = re.compile(r"callers: \[([^\]]*)\]").search(proto, proto.index(f"rpc {ASKED}("))
    assert found
    callers = [*re.findall(r'"[^"]+"', found[1]), f'"{called.name}"']
    listed = ",\n        ".join(callers)
    return f"{proto[: found.start()]}callers: [\n        {listed}\n      ]{proto[found.end() :]}"


def with_reason(exceptions: str, called: Names) -> str:
    """The meant breaks with the one that a new caller of auth is."""
    meant = f"{MEANT} {called.name}"
    why = f"{called.name} is a new service: it verifies access tokens with keys that are public anyway"
    return f'{exceptions}\n["{meant}"]\nreason = "{why}"\n'


EDITS = {
    "services/topology.py": with_row,
    "protos/tulle/auth/v1/auth.proto": with_caller,
    "codegen/baseline/exceptions.toml": with_reason,
}
"""The files that name each service."""
