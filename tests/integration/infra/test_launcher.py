"""./tulle makes its environment, or says in one sentence why it cannot. Pythons here are scripts that play one."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent.parent
FILES = ("tulle", "infra/install.sh", "requirements.lock", "requirements-dev.lock")
TOOLS = ("sh", "cat", "cmp", "cp", "dirname", "grep", "head", "mkdir", "mv", "readlink", "rm", "sed", "sleep", "tail")

# What the launcher asks of a Python: its version, an environment, pip (which brings uv), the CLI.
PYTHON = """#!/bin/sh
case $1 in
-c) exit {unsuitable} ;;
--version) echo "Python {name}" ;;
-m) case $2 in
    venv)
        {venv}
        mkdir -p "$3/bin" "$3/lib/python3.11/site-packages"
        cp "$0" "$3/bin/python"
        ;;
    pip)
        [ "$3" = config ] && exit 1
        printf '#!/bin/sh\\n{install}\\necho {name} >>"{installed}"\\n' >"$(dirname "$0")/uv"
        chmod +x "$(dirname "$0")/uv"
        ;;
    infra.cli) shift 2; echo "{name} runs $*" ;;
    esac ;;
esac
"""


@dataclass(frozen=True)
class Machine:
    """A clone of what the launcher needs, and a PATH with nothing but tools and the Pythons that a test adds."""

    clone: Path
    bin: Path

    def python(self, name: str = "python3", unsuitable: int = 0, venv: str = "", install: str = ":") -> Path:
        """Put a Python there. `venv`, `install`: what its venv module and its installer do first."""
        file = self.bin / name
        words = {"name": name, "unsuitable": unsuitable, "venv": venv, "install": install}
        file.write_text(PYTHON.format(**words, installed=self.bin / "installed"))
        file.chmod(0o755)
        return file

    def start(self, *words: str, **settings: str) -> subprocess.Popen[str]:
        # A shell has its background jobs ignore Ctrl-C, and they would hand that down.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            return subprocess.Popen(
                [str(self.clone / "tulle"), *words],
                env={"PATH": str(self.bin), **settings},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
        finally:
            signal.signal(signal.SIGINT, before)

    def tulle(self, *words: str, **settings: str) -> tuple[int, str, str]:
        """Exit code, what was printed, and what was said beside it."""
        process = self.start(*words, **settings)
        out, err = process.communicate(timeout=30)
        return process.returncode, out, err

    @property
    def installs(self) -> int:
        file = self.bin / "installed"
        return len(file.read_text().splitlines()) if file.exists() else 0

    @property
    def left(self) -> set[str]:
        """What a launch has made in the clone."""
        return {path.name for path in self.clone.glob(".venv*")}


@pytest.fixture
def machine() -> Iterator[Machine]:
    with tempfile.TemporaryDirectory(prefix="tulle-launch-") as folder:
        Path(folder).chmod(0o755)
        yield made(Path(folder), "clone")


def made(folder: Path, name: str) -> Machine:
    bin_, clone = folder / "bin", folder / name
    bin_.mkdir(exist_ok=True)
    for tool in (*TOOLS, "chmod"):
        found = shutil.which(tool)
        assert found, tool
        if not (bin_ / tool).exists():
            (bin_ / tool).symlink_to(found)
    for file in FILES:
        (clone / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, clone / file)
    return Machine(clone, bin_)


def refused(said: tuple[int, str, str], *words: str) -> None:
    """Status 1, and in the end one sentence with these words."""
    code, out, err = said
    assert (code, out) == (1, "")
    *progress, last = err.splitlines()
    assert last.startswith("✗ "), err
    assert all(line.startswith(("Making", "Installing")) for line in progress), err
    assert all(word in last for word in words), err


def test_the_environment_is_made_once(machine: Machine) -> None:
    """The first launch installs, the next runs at once, and a lock that changed installs anew."""
    machine.python()
    code, out, err = machine.tulle("status", "--json")
    assert (code, out) == (0, "python3 runs status --json\n")
    assert "Making .venv with Python python3" in err
    assert machine.tulle("up") == (0, "python3 runs up\n", "")
    assert machine.installs == 1
    with (machine.clone / "requirements.lock").open("a") as lock:
        lock.write("# changed\n")
    assert "Installing" in machine.tulle("up")[2]
    assert machine.installs == 2
    assert machine.left == {".venv"}


def test_development_needs_more(machine: Machine) -> None:
    """A verb of development installs the larger lock, and the others are content with it."""
    machine.python()
    assert "requirements-dev.lock" in machine.tulle("check")[2]
    assert machine.tulle("up") == (0, "python3 runs up\n", "")


@pytest.mark.parametrize("older", [(), ("python3", "python3.13")])
def test_without_a_python_of_today(machine: Machine, older: tuple[str, ...]) -> None:
    """No Python, or none but old ones: one sentence, and nothing is left behind."""
    for name in older:
        machine.python(name, unsuitable=1)
    refused(machine.tulle("up"), "Python 3.11 or newer", "TULLE_PYTHON")
    assert machine.left == set()


def test_a_newer_python_beside_an_old_one_is_found(machine: Machine) -> None:
    """An old `python3` does not hide a newer one."""
    machine.python(unsuitable=1)
    machine.python("python3.12")
    assert machine.tulle("up")[:2] == (0, "python3.12 runs up\n")


def test_the_python_that_is_named_is_taken(machine: Machine) -> None:
    """TULLE_PYTHON comes first; one that is too old or not there is refused, whatever else there is."""
    machine.python()
    chosen = machine.python("mine")
    refused(machine.tulle("up", TULLE_PYTHON="/no/such/python"), "TULLE_PYTHON", "/no/such/python")
    refused(machine.tulle("up", TULLE_PYTHON=str(machine.python("old", unsuitable=1))), "TULLE_PYTHON")
    assert machine.left == set()
    assert machine.tulle("up", TULLE_PYTHON=str(chosen))[1] == "mine runs up\n"


def test_a_python_without_venv(machine: Machine) -> None:
    """A Python whose venv module is missing is named with what brings it, and nothing is left behind."""
    machine.python(venv='echo "The virtual environment was not created: ensurepip is not available"; exit 1')
    refused(machine.tulle("up"), "without venv", "python3-venv")
    assert machine.left == set()


def test_a_failed_installation_is_explained(machine: Machine) -> None:
    """The reason stands in the sentence, all of it in a log, and the next launch tries again."""
    machine.python(install='echo "error: no route to the index"; exit 2')
    refused(machine.tulle("up"), "error: no route to the index", ".venv.log")
    (machine.clone / ".venv" / "bin" / "uv").unlink()
    shutil.copy(machine.python(), machine.clone / ".venv" / "bin" / "python")
    assert machine.tulle("up")[0] == 0
    assert machine.left == {".venv"}


def test_an_interrupted_installation_leaves_no_lock(machine: Machine) -> None:
    """Ctrl-C while packages are installed ends it, and the next launch works."""
    begun = machine.bin / "begun"
    machine.python(install=f': >"{begun}"; sleep 30')
    process = machine.start("up")
    # Not sooner: between two commands a shell may hand its next child a signal that is lost there.
    wait_for(begun.exists)
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=10)
    assert process.returncode != 0
    assert ".venv.lock" not in machine.left
    (machine.clone / ".venv" / "bin" / "uv").unlink()
    shutil.copy(machine.python(), machine.clone / ".venv" / "bin" / "python")
    assert machine.tulle("up")[0] == 0


def test_two_at_once_install_once(machine: Machine) -> None:
    """The second says that it waits, and finds the work done."""
    machine.python(install="sleep 2")
    first = machine.start("up")
    wait_for(lambda: (machine.clone / ".venv.lock" / "pid").exists())
    code, out, err = machine.tulle("status")
    assert (code, out) == (0, "python3 runs status\n")
    assert "Waiting for another ./tulle" in err
    assert first.communicate(timeout=10)[0] == "python3 runs up\n"
    assert machine.installs == 1


def test_two_clones_know_nothing_of_each_other(machine: Machine) -> None:
    """Two clones side by side install at once, each for itself."""
    machine.python(install="sleep 0.5")
    other = made(machine.clone.parent, "other")
    both = [machine.start("up"), other.start("up")]
    said = [process.communicate(timeout=30) for process in both]
    assert [out for out, _ in said] == ["python3 runs up\n"] * 2
    assert not any("Waiting" in err for _, err in said)
    assert machine.installs == 2
    assert machine.left == other.left == {".venv"}


@pytest.mark.parametrize("pid", ["", "dead"])
def test_a_lock_of_nobody_is_taken_over(machine: Machine, pid: str) -> None:
    """A lock whose owner is gone, or never said who it is, holds nobody up."""
    machine.python()
    lock = machine.clone / ".venv.lock"
    lock.mkdir()
    if pid:
        gone = subprocess.Popen(["true"])
        gone.wait()
        (lock / "pid").write_text(str(gone.pid))
    assert machine.tulle("up")[:2] == (0, "python3 runs up\n")
    assert machine.left == {".venv"}


def test_a_long_path_with_blanks(machine: Machine) -> None:
    """A clone may lie deep, below names with blanks."""
    deep = made(machine.clone.parent, "a name with blanks/" + "d" * 120)
    deep.python()
    assert deep.tulle("up")[1] == "python3 runs up\n"
    assert deep.tulle("up") == (0, "python3 runs up\n", "")


def test_a_folder_that_cannot_be_written(machine: Machine) -> None:
    """Somebody else's clone is refused by its name."""
    machine.python()
    machine.clone.chmod(0o555)
    done = subprocess.run(
        [str(machine.clone / "tulle"), "up"],
        env={"PATH": str(machine.bin)},
        capture_output=True,
        text=True,
        check=False,
        user=65534 if os.getuid() == 0 else None,
    )
    refused((done.returncode, done.stdout, done.stderr), str(machine.clone), "cannot be written")


def wait_for(true: Callable[[], bool]) -> None:
    until = time.monotonic() + 10
    while not true():
        assert time.monotonic() < until, "it never came true"
        time.sleep(0.02)
