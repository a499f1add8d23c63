"""What `./tulle new rpc` writes: a method more in the contract, domain and servicer of a service, and its test."""

from __future__ import annotations

import ast
import keyword
import re
import string
from pathlib import Path

from infra.cli.scaffold import TEMPLATES, Refused

SHAPE = re.compile(r"([A-Z][a-z0-9]*){1,6}")
PARTS = TEMPLATES.parent / "rpc"


def rpc(root: Path, service: str, method: str) -> dict[Path, str]:
    """Each file that the method touches, with its new text. Writes nothing. Raises: Refused."""
    contract = root / "protos" / "tulle" / service / "v1" / f"{service}.proto"
    domain, servicer = (root / "services" / service / f"{part}.py" for part in ("domain", "servicer"))
    if not contract.exists() or not servicer.exists():
        raise Refused(f"there is no service {service!r}: `./tulle new service` makes one")
    if not domain.exists():
        raise Refused(f"the domain of {service!r} is in several files: follow docs/adding-an-rpc.md by hand")
    values = _values(service, method)
    test = root / "tests" / "unit" / "services" / service / f"test_{values['snake']}.py"
    if f"rpc {method}(" in contract.read_text() or test.exists():
        raise Refused(f"{service!r} has a method {method!r} already")
    return {
        contract: _in_contract(contract.read_text(), values),
        domain: _imported(_in_class(domain.read_text(), values["Name"], _part("domain.py", values))),
        servicer: _in_class(servicer.read_text(), f"{values['Name']}Servicer", _part("servicer.py", values)),
        test: _part("test.py", values),
    }


def _values(service: str, method: str) -> dict[str, str]:
    if not SHAPE.fullmatch(method) or len(method) > 40:
        raise Refused(f"{method!r} cannot name a method: write it like CountNotes, 40 characters at most")
    snake = re.sub(r"(?<!^)(?=[A-Z])", "_", method).lower()
    if keyword.iskeyword(snake):
        raise Refused(f"{method!r} would be `{snake}`, a reserved word of Python: take another")
    camel = method[0].lower() + method[1:]
    return {"name": service, "Name": service.capitalize(), "Method": method, "method": camel, "snake": snake}


def _part(name: str, values: dict[str, str]) -> str:
    return string.Template((PARTS / f"{name}.tmpl").read_text()).substitute(values)


def _in_contract(proto: str, values: dict[str, str]) -> str:
    """The method at the end of its service, its messages at the end of the file."""
    found = re.search(rf"^service {values['Name']}Service {{\n.*?^}}\n", proto, re.MULTILINE | re.DOTALL)
    if found is None:
        raise Refused(f"{values['name']}.proto has no service {values['Name']}Service")
    inside = found.end() - len("}\n")
    return proto[:inside] + _part("method.proto", values) + proto[inside:] + _part("messages.proto", values)


def _in_class(source: str, name: str, text: str) -> str:
    """`text` at the end of the class. Raises: Refused if there is none, or if it has the method already."""
    classes = (node for node in ast.parse(source).body if isinstance(node, ast.ClassDef) and node.name == name)
    found = next(classes, None)
    if found is None:
        raise Refused(f"there is no class {name} to put it into: follow docs/adding-an-rpc.md by hand")
    method = re.search(r"def (\w+)\(", text)
    if method and method[1] in {node.name for node in found.body if isinstance(node, ast.AsyncFunctionDef)}:
        raise Refused(f"{name} has a method {method[1]!r} already")
    lines = source.splitlines(keepends=True)
    lines.insert(found.end_lineno or len(lines), text)
    return "".join(lines)


def _imported(source: str) -> str:
    """The domain with what the new method needs; ruff puts it where it belongs."""
    first = next(node.lineno for node in ast.parse(source).body if isinstance(node, ast.ImportFrom) and node.level == 0)
    lines = source.splitlines(keepends=True)
    lines.insert(first, "from mesh.model import Caller, User\n")
    return "".join(lines)
