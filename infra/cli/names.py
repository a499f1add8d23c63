"""What a new service is called, in all the forms in which its files need it, and what it cannot be called."""

from __future__ import annotations

import ast
import builtins
import keyword
import re
import string
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from services import topology
from services.objects import objects

TEMPLATES = Path(__file__).parent / "templates" / "service"
SHAPE = re.compile(r"[a-z][a-z0-9]{2,19}")
RESERVED = frozenset((TEMPLATES.parent / "reserved.txt").read_text().split())
"""Words of PostgreSQL, which names a schema, a role and a table after it, of protobuf and of the platform."""


class Refused(Exception):
    """Why nothing was written."""


@dataclass(frozen=True, slots=True)
class Names:
    """A service's name, and that of what it keeps."""

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

    def files(self) -> Iterator[tuple[str, str]]:
        """Each file of the service, inside the tree, and its text."""
        for template in sorted(TEMPLATES.rglob("*.tmpl")):
            inside = str(template.relative_to(TEMPLATES).with_suffix("")).replace("NAME", self.name)
            yield inside, string.Template(template.read_text()).substitute(self.values())


def names(root: Path, name: str) -> Names:
    """The names of a new service. Raises: Refused."""
    if not SHAPE.fullmatch(name):
        raise Refused(f"{name!r} cannot name a service: take 3 to 20 of a-z and 0-9, beginning with a letter")
    if any(path.exists() for path in _places(root, name)):
        raise Refused(f"{name!r} is there already: take another")
    if reserved(name):
        raise Refused(f"{name!r} is a reserved word of Python, PostgreSQL, protobuf or the platform: take another")
    found = _names(name)
    if clash := next(clashes(found), ""):
        raise Refused(f"{name!r} cannot name a service: its code needs `{clash}` for something else; take another")
    return found


def _places(root: Path, name: str) -> tuple[Path, ...]:
    return (root / "services" / name, root / "services" / f"{name}.py", root / "protos" / "tulle" / name)


def reserved(name: str) -> bool:
    """Whether the name means something else to whoever reads it."""
    taken = {row.name for row in (*topology.BOXES, *topology.WORKLOADS)} | RESERVED
    return name in taken or of_python(name)


def of_python(name: str) -> bool:
    """Whether Python has the name, or its class's, for something else."""
    return any(keyword.iskeyword(one) or hasattr(builtins, one) for one in (name, name.capitalize()))


def _names(name: str) -> Names:
    """A plural names its resource, unless that is something else already; another name has items."""
    resource = _singular(name)
    called = Names(name, resource, name)
    if not resource or of_python(resource) or resource in {row.kind for row in objects()} or any(clashes(called)):
        return Names(name, f"{name}_item", f"{name}_items")
    return called


def _singular(name: str) -> str:
    """What a plural is one of; nothing for what is no plural."""
    if name.endswith(("ss", "us", "is")):
        return ""
    endings = (("ies", "y"), ("sses", "ss"), ("ches", "ch"), ("shes", "sh"), ("xes", "x"), ("s", ""))
    return next((name.removesuffix(many) + one for many, one in endings if name.endswith(many)), "")


def clashes(called: Names) -> Iterator[str]:
    """What a file of the service would call two things: a name of its own that the file has for another."""
    nameless = Names("placeholder", "placeheld", "placeholders")
    for (inside, text), (_, other) in zip(called.files(), nameless.files(), strict=True):
        if inside.endswith(".py"):
            pairs = list(zip(_identifiers(text), _identifiers(other), strict=True))
            fixed = {mine for mine, theirs in pairs if mine == theirs}
            yield from (mine for mine, theirs in pairs if mine != theirs and mine in fixed)


def _identifiers(text: str) -> Iterator[str]:
    """What a module's code calls things, but for attributes."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.alias):
            yield (node.asname or node.name).partition(".")[0]
        elif isinstance(node, ast.ClassDef | ast.FunctionDef):
            yield node.name


def _lower(name: str) -> str:
    return name[0].lower() + name[1:]


def _camel(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))
