"""What `./tulle new` writes: templates with names put in, and the few places that name each service."""

from __future__ import annotations

import ast
import keyword
import re
import string
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

TEMPLATES = Path(__file__).parent / "templates" / "service"
SHAPE = re.compile(r"[a-z][a-z0-9]{2,19}")
TAKEN = frozenset((TEMPLATES.parent / "reserved.txt").read_text().split())
"""Words of PostgreSQL, which names a schema, a role and a table after it, of protobuf and of the platform."""
ASKED = "GetJwks"
"""What every service asks of auth: the keys of tokens."""
MEANT = "callers-looser tulle.auth.v1.KeysService/GetJwks"
"""What `./tulle breaking` calls that."""


class Refused(Exception):
    """Why nothing was written."""


@dataclass(frozen=True, slots=True)
class Names:
    """A service's name in all the forms in which files need it."""

    name: str
    resource: str
    plural: str

    def values(self) -> dict[str, str]:
        """What the templates call them."""
        camel = _camel(self.plural)
        return {
            "name": self.name,
            "Name": self.name.capitalize(),
            "resource": self.resource,
            "Resource": _camel(self.resource),
            "RESOURCE": self.resource.upper(),
            "word": self.resource.replace("_", " "),
            "words": self.plural.replace("_", " "),
            "plural": self.plural,
            "Plural": self.plural.replace("_", " ").capitalize(),
            "Plurals": camel,
            "PLURAL": self.plural.upper(),
            "path": _lower(camel),
            "member": _lower(_camel(self.resource)),
        }


def names(root: Path, name: str) -> Names:
    """The names of a new service. Raises: Refused."""
    if not SHAPE.fullmatch(name):
        raise Refused(f"{name!r} cannot name a service: take 3 to 20 of a-z and 0-9, beginning with a letter")
    if name in TAKEN or keyword.iskeyword(name):
        raise Refused(f"{name!r} is a reserved word of Python, PostgreSQL, protobuf or the platform: take another")
    if (root / "services" / name).exists() or (root / "protos" / "tulle" / name).exists():
        raise Refused(f"there is a service {name!r} already")
    if name.endswith("ies"):
        return Names(name, name[:-3] + "y", name)
    if name.endswith("s") and not name.endswith("ss"):
        resource = name[:-1]
        if resource not in TAKEN and not keyword.iskeyword(resource):
            return Names(name, resource, name)
    return Names(name, f"{name}_item", f"{name}_items")


def service(root: Path, called: Names) -> dict[Path, str]:
    """Each file of the service and each file that names it, with its new text. Writes nothing."""
    made = {}
    stamp = datetime.now(UTC).strftime("%Y%m%d%H%M%S")
    for template in sorted(TEMPLATES.rglob("*.tmpl")):
        inside = str(template.relative_to(TEMPLATES).with_suffix("")).replace("STAMP", stamp)
        text = string.Template(template.read_text()).substitute(called.values())
        made[root / inside.replace("NAME", called.name)] = text
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
        serves=("tulle.{called.name}.v1.{values["Name"]}Service",),
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


def _lower(name: str) -> str:
    return name[0].lower() + name[1:]


def _camel(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))
