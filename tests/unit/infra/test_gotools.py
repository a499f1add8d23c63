"""Go programs: built once, atomically, with a word about it; a sentence where there is no Go."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from infra import gotools
from infra.local.layout import Unusable


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A set `hello` with one program, and a cache of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(gotools, "ROOT", tmp_path)
    module = tmp_path / "hello"
    (module / "world").mkdir(parents=True)
    (module / "go.mod").write_text("module hello\n\ngo 1.24\n\ntool hello/world\n")
    (module / "go.sum").touch()
    (module / "world" / "main.go").write_text("package main\n\nfunc main() {}\n")
    return module


def left(tmp_path: Path) -> set[str]:
    """What a build has left in the cache."""
    return {path.name for path in (tmp_path / "cache" / "tulle" / "go").glob("*")}


def test_without_go_there_is_one_sentence(sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without Go is told what is missing, and nothing is left behind."""
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(Unusable, match=r"^hello is built from its Go sources, and there is no `go` here; install Go"):
        gotools.binaries("hello", lambda text: None)
    assert left(tmp_path) == set()


@pytest.mark.skipif(shutil.which("go") is None, reason="builds a Go program")
def test_a_program_is_built_once(sources: Path, tmp_path: Path) -> None:
    """The second time nothing is built; of Go's caches nothing is left."""
    told: list[str] = []
    made = gotools.binaries("hello", told.append)
    assert told[0] == "Building hello from its Go modules, once …"
    assert gotools.binaries("hello", lambda text: pytest.fail("built again")) == made
    assert [path.name for path in made.iterdir()] == ["world"]
    assert left(tmp_path) == {made.name}


def test_other_pins_are_another_build(sources: Path) -> None:
    """A change of the pins or of the linker's flags names another folder."""
    before = gotools.folder("hello")
    (sources / "go.sum").write_text("\n")
    assert len({before, gotools.folder("hello"), gotools.folder("hello", ldflags="-s")}) == 3


@pytest.mark.skipif(shutil.which("go") is None, reason="builds a Go program")
def test_a_build_that_fails_says_why(sources: Path, tmp_path: Path) -> None:
    """What Go complains about is in the sentence, and nothing is left behind."""
    (sources / "world" / "main.go").write_text("package main\n\nfunc main() { nonsense() }\n")
    with pytest.raises(Unusable, match="undefined: nonsense"):
        gotools.binaries("hello", lambda text: None)
    assert left(tmp_path) == set()


def test_progress_is_told_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    """First the modules that come are counted, then packages, of how many."""
    monkeypatch.setattr(gotools, "BUILD_TOLD", -1.0)
    told: list[str] = []
    progress = gotools._Progress("hello", told.append)
    progress.hear("go: downloading golang.org/x/net v0.1.0\n")
    progress.packages = 2
    progress.hear("golang.org/x/net\n")
    progress.hear("# golang.org/x/net\n")
    assert told == ["  hello: 1 modules", "  hello: 1 of 2 packages", "  hello: 1 of 2 packages"]
    assert progress.troubles == ["# golang.org/x/net\n"]
