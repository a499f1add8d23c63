"""What `./tulle new rpc` writes: a method more in the contract, domain and servicer of a service, and its test."""

from __future__ import annotations

import ast
import re
import string
from pathlib import Path

from infra.cli.names import TEMPLATES, Refused, of_python

SHAPE = re.compile(r"([A-Z][a-z0-9]*){1,6}")
PARTS = TEMPLATES.parent / "rpc"


def rpc(root: Path, service: str, method: str) -> dict[Path, str]:
    """Each file that the method touches, with its new text. Writes nothing. Raises: Refused."""
    contract = root / "protos" / "tulle" / service / "v1" / f"{service}.proto"
    servicer = root / "services" / service / "servicer.py"
    if not contract.exists() or not servicer.exists():
        raise Refused(f"there is no service {service!r}: `./tulle new service` makes one")
    values = _values(service, method)
    test = root / "tests" / "unit" / "services" / service / f"test_{values['snake']}.py"
    if f"rpc {method}(" in contract.read_text() or test.exists():
        raise Refused(f"{service!r} has a method {method!r} already")
    single = servicer.with_name("domain.py").exists()
    made = {contract: _in_contract(contract.read_text(), values)}
    return made | (_in_file if single else _in_package)(servicer, test, values)


def _in_file(servicer: Path, test: Path, values: dict[str, str]) -> dict[Path, str]:
    """A domain of one file: its class gets a method."""
    domain = servicer.with_name("domain.py")
    values = values | {"use_case": f"self.{values['name']}.{values['snake']}"}
    method = _in_class(domain.read_text(), values["Name"], _part("method.py", values))
    return {
        domain: _importing(method, "from mesh.model import Caller, User"),
        servicer: _in_class(servicer.read_text(), f"{values['Name']}Servicer", _part("servicer.py", values)),
        test: _part("test_method.py", values),
    }


def _in_package(servicer: Path, test: Path, values: dict[str, str]) -> dict[Path, str]:
    """A domain of several files: the use case is a function in one of its own, for what it needs is not known yet."""
    name, snake = values["name"], values["snake"]
    use_case = servicer.parent / "domain" / f"{snake}.py"
    if use_case.exists():
        raise Refused(f"services/{name}/domain/{snake}.py is there already")
    values = values | {"use_case": snake}
    method = _in_class(servicer.read_text(), f"{values['Name']}Servicer", _part("servicer.py", values))
    return {
        use_case: _part("use_case.py", values),
        servicer: _importing(method, f"from services.{name}.domain.{snake} import {snake}"),
        test: _part("test_use_case.py", values),
    }


def _values(service: str, method: str) -> dict[str, str]:
    if not SHAPE.fullmatch(method) or len(method) > 40:
        raise Refused(f"{method!r} cannot name a method: write it like CountNotes, 40 characters at most")
    snake = re.sub(r"(?<!^)(?=[A-Z])", "_", method).lower()
    if of_python(snake):
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


def _importing(source: str, line: str) -> str:
    """The module with one more import; ruff puts it where it belongs."""
    first = next(node.lineno for node in ast.parse(source).body if isinstance(node, ast.ImportFrom) and node.level == 0)
    lines = source.splitlines(keepends=True)
    lines.insert(first, f"{line}\n")
    return "".join(lines)
