"""What a service does near its calls, and what processes of its own may do."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.rules.tree import modules, tree

MAINS = [path for path in modules("services") if path.name == "main.py"]


def made(path: Path, keyword: str) -> set[str]:
    """The names of what is made for this argument of the service's App."""
    values = [node.value for node in ast.walk(tree(path)) if isinstance(node, ast.keyword) and node.arg == keyword]
    calls = [node.func for value in values for node in ast.walk(value) if isinstance(node, ast.Call)]
    return {call.id for call in calls if isinstance(call, ast.Name)}


@pytest.mark.parametrize("path", MAINS, ids=str)
def test_events_are_worked_on_in_jobs(path: Path) -> None:
    """What consumes events or cleans up may have processes of its own; what publishes is in every process."""
    consumes = {"Consumer"} if path.with_name("events.py").exists() else set()
    jobs, workers = made(path, "jobs"), made(path, "workers")
    assert consumes | {"Housekeeping"} <= jobs
    assert not (consumes | {"Housekeeping"}) & workers
    assert "Relay" not in jobs
