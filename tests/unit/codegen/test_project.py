"""The errors of a service, read without importing it."""

from __future__ import annotations

from pathlib import Path

from codegen import project
from codegen.project import DomainError

DOMAIN = '''
from mesh.model import Conflict
from mesh import model

class StaleOrder(Conflict):
    """The order has
    changed."""

class VeryStaleOrder(StaleOrder):
    """Long ago."""

class NoTea(model.NotFound):
    """There is no tea."""

class Helper(Exception):
    """Nobody is told."""

class Order:
    """No error."""
'''


def test_errors_get_reason_status_and_message(tmp_path: Path) -> None:
    """A class's name gives the reason, its ancestor in mesh.model the status, its docstring the message."""
    (tmp_path / "domain.py").write_text(DOMAIN)
    assert set(project.defined_errors(tmp_path)) == {
        DomainError("STALE_ORDER", "Conflict", "The order has changed."),
        DomainError("VERY_STALE_ORDER", "Conflict", "Long ago."),
        DomainError("NO_TEA", "NotFound", "There is no tea."),
    }


def test_a_service_can_raise_what_all_share(tmp_path: Path) -> None:
    """Reasons of mesh and infra belong to every service that is written, and to none that is not."""
    for name, text in {
        "services/shop/main.py": "",
        "services/shop/domain.py": DOMAIN,
        "services/new/domain.py": "",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "mesh").mkdir()
    (tmp_path / "mesh" / "masks.py").write_text("class UnknownField(Invalid):\n    '''No.'''\n")
    errors = project.known_errors(tmp_path)
    assert set(errors) == {"shop"}
    assert {"UNKNOWN_FIELD", "NO_TEA"} <= set(errors["shop"])
