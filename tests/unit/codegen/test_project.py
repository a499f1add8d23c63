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
    assert set(project.domain_errors(tmp_path)) == {
        DomainError("STALE_ORDER", "Conflict", "The order has changed."),
        DomainError("VERY_STALE_ORDER", "Conflict", "Long ago."),
        DomainError("NO_TEA", "NotFound", "There is no tea."),
    }
