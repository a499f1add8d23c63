"""What no file of the project may contain."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.rules.tree import CODE, ROOT, modules, texts, tree

# Where packages and images are fetched from is the user's affair: mirrors, proxies and air gaps are common.
REGISTRY = re.compile(
    r"\b(?:py"
    r"pi\.(?:org|io)|files\.python"
    r"hosted\.org|registry\.np"
    r"mjs\.org|proxy\.gol"
    r"ang\.org"
    r"|(?:docker|ghcr|quay|gcr)\.i"
    r"o|crates\.i"
    r"o)\b"
)
TESTS = [path for path in modules("tests") if path.name.startswith("test_")]


def test_no_registry_is_named() -> None:
    """No file names the host of a package registry."""
    mine = Path(__file__).name
    assert [str(path) for path, text in texts() if path.name != mine and REGISTRY.search(text)] == []


@pytest.mark.parametrize("path", modules(*CODE), ids=str)
def test_files_can_be_read_in_one_go(path: Path) -> None:
    """No hand-written file is longer than 500 lines."""
    assert len((ROOT / path).read_text().splitlines()) <= 500


@pytest.mark.parametrize("path", modules(*CODE), ids=str)
def test_modules_say_what_they_are(path: Path) -> None:
    """Each module begins with a docstring."""
    assert ast.get_docstring(tree(path))


@pytest.mark.parametrize("path", TESTS, ids=str)
def test_tests_state_laws(path: Path) -> None:
    """Each test's docstring is a sentence: the law that it holds."""
    tests = (node for node in ast.walk(tree(path)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    said = {node.name: ast.get_docstring(node) or "" for node in tests if node.name.startswith("test_")}
    assert [name for name, law in said.items() if not law.rstrip().endswith(".")] == []


def test_the_project_stands_alone() -> None:
    """No file leans on a document that is not in the project."""
    outside = re.compile(r"\b(?:PIT" r"FALLS|DES" r"IGN|RELIA" r"BILITY)\b|\b(?:SECU" r"RITY|STY" r"LE)\.md\b")
    assert [str(path) for path, text in texts() if path.suffix != ".lock" and outside.search(text)] == []


def test_nothing_is_left_to_do() -> None:
    """No file keeps a note of work that was put off."""
    word = re.compile(r"\b(?:TO" r"DO|FIX" r"ME|XX" r"X)\b")
    assert [str(path) for path, text in texts() if path.suffix != ".lock" and word.search(text)] == []
