"""./tulle runs the platform: what goes wrong says so in a sentence, and nothing is left half-started."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from infra.local import control
from infra.local.layout import layout
from infra.local.stack import WITH_PARENT
from infra.settings import StackSettings, development_environment
from services.topology import SERVICES
from tests.e2e.people import PATIENCE, eventually
from tests.e2e.stacks import Stack
from tests.servers import free_port

ROOT = Path(__file__).parent.parent.parent


def tulle(settings: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    """Run a verb as a person would."""
    return subprocess.run(
        [sys.executable, "-m", "infra.cli", *words],
        cwd=ROOT,
        env=development_environment() | settings | {"COLUMNS": "80"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def settings_of(stack: Stack) -> dict[str, str]:
    """The variables that name a stack."""
    settings = stack.layout.settings
    return {
        "TULLE_DATA_DIR": str(settings.data_dir),
        "TULLE_HTTP_PORT": str(settings.http_port),
        "TULLE_HTTPS_PORT": str(settings.https_port),
    }


@pytest.fixture
def elsewhere(tmp_path: Path) -> dict[str, str]:
    """Settings of a stack that does not run."""
    ports = {"TULLE_HTTP_PORT": str(free_port()), "TULLE_HTTPS_PORT": str(free_port())}
    return {"TULLE_DATA_DIR": str(tmp_path / "data"), **ports}


@contextlib.contextmanager
def taken(port: int) -> Iterator[None]:
    """Another program on a port."""
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))
        other.listen()
        yield


def refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """It ended with status 1 and one sentence that has these words."""
    assert done.returncode == 1, done.stdout
    assert done.stdout == ""
    assert done.stderr.startswith("✗ ")
    assert all(word in done.stderr for word in words), done.stderr


def test_a_second_start_is_refused(stack: Stack) -> None:
    """One data folder has one stack; who starts a second is told what to do."""
    refused(tulle(settings_of(stack), "up", "-d"), "runs here already", "./tulle down")


def test_data_of_a_running_stack_stay(stack: Stack) -> None:
    """A stack that runs is not forgotten."""
    refused(tulle(settings_of(stack), "reset", "--yes"), "runs here already")


def test_a_port_in_use_is_named(elsewhere: dict[str, str]) -> None:
    """A port that another program has is named with the setting that changes it, and nothing runs."""
    with taken(int(elsewhere["TULLE_HTTPS_PORT"])):
        refused(tulle(elsewhere, "up", "-d"), elsewhere["TULLE_HTTPS_PORT"], "TULLE_HTTPS_PORT=")
    refused(tulle(elsewhere, "status"), "No stack runs here", "./tulle up")


def test_a_folder_that_cannot_be_written_is_named(elsewhere: dict[str, str], tmp_path: Path) -> None:
    """A data folder that cannot be made is named with the setting that changes it."""
    (tmp_path / "file").touch()
    refused(tulle(elsewhere | {"TULLE_DATA_DIR": str(tmp_path / "file" / "data")}, "up", "-d"), "TULLE_DATA_DIR")


@pytest.mark.parametrize(
    ("name", "value"),
    [("HTTP_PORT", "many"), ("LOG_LEVEL", "loud"), ("TRACE_RATIO", "2"), ("TRUSTED_HOPS", "-1"), ("MESH", "linkerd")],
)
def test_a_setting_that_makes_no_sense_is_named(elsewhere: dict[str, str], name: str, value: str) -> None:
    """A bad value is refused by the name of its setting."""
    refused(tulle(elsewhere | {f"TULLE_{name}": value}, "up", "-d"), f"TULLE_{name}")


def test_data_of_another_version_stay_untouched(elsewhere: dict[str, str]) -> None:
    """Data that another PostgreSQL made are refused with both versions before anything starts."""
    data = Path(elsewhere["TULLE_DATA_DIR"])
    (data / "postgres").mkdir(parents=True)
    (data / "postgres" / "PG_VERSION").write_text("15\n")
    refused(tulle(elsewhere, "up", "-d"), "PostgreSQL 15", "this is 18", "./tulle reset")
    assert [log.name for log in (data / "logs").iterdir()] == ["stack.log"], "a process has a log once it is started"
    nothing_is_left(elsewhere)
    assert (data / "postgres" / "PG_VERSION").read_text() == "15\n"


def test_a_folder_that_is_no_database_is_named(elsewhere: dict[str, str]) -> None:
    """A data folder without a database in the database's place is refused with what to do."""
    (Path(elsewhere["TULLE_DATA_DIR"]) / "postgres").mkdir(parents=True)
    refused(tulle(elsewhere, "up", "-d"), "no data folder of PostgreSQL", "./tulle reset")


@pytest.mark.parametrize("seconds", [0.2, 0.6, 1.0, 1.5, 2.5])
def test_a_start_can_be_stopped_at_any_moment(elsewhere: dict[str, str], seconds: float) -> None:
    """`down` beside an `up`, however far that is, leaves nothing running and no folder; neither falls over."""
    up = subprocess.Popen(
        [sys.executable, "-m", "infra.cli", "up"],
        cwd=ROOT,
        env=development_environment() | elsewhere,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    time.sleep(seconds)
    down = tulle(elsewhere, "down")
    if down.returncode:
        # It had not begun: then it comes up, and is stopped now.
        refused(down, "No stack runs here")
        up.send_signal(signal.SIGINT)
    said, _ = up.communicate(timeout=60)
    assert "Traceback" not in said + down.stderr
    nothing_is_left(elsewhere)


@pytest.mark.parametrize("words", [["up"], ["up", "-d"]])
@pytest.mark.parametrize("seconds", [0.35, 0.9, 1.8])
def test_ctrl_c_ends_a_start(elsewhere: dict[str, str], words: list[str], seconds: float) -> None:
    """Ctrl-C during a start, in front or behind, ends all of it without a traceback."""
    # A shell has its background jobs ignore Ctrl-C, and they would hand that down.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    up = subprocess.Popen(
        [sys.executable, "-m", "infra.cli", *words],
        cwd=ROOT,
        env=development_environment() | elsewhere,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    signal.signal(signal.SIGINT, before)
    time.sleep(seconds)
    up.send_signal(signal.SIGINT)
    said, _ = up.communicate(timeout=60)
    assert "Traceback" not in said
    nothing_is_left(elsewhere)


def test_a_stack_may_stop_with_whoever_started_it(elsewhere: dict[str, str]) -> None:
    """Killed without a word, a run of tests leaves no stack behind."""
    start = (
        f"import subprocess; subprocess.Popen([{sys.executable!r}, '-m', 'infra.local.stack', '{WITH_PARENT}']).wait()"
    )
    parent = subprocess.Popen([sys.executable, "-c", start], cwd=ROOT, env=development_environment() | elsewhere)
    place = layout(StackSettings(data_dir=Path(elsewhere["TULLE_DATA_DIR"])))
    patiently(lambda: bool(control.told(place).get("processes")))
    parent.kill()
    parent.wait()
    patiently(lambda: tulle(elsewhere, "status").returncode == 1)
    nothing_is_left(elsewhere)


def patiently(true: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < until, "it never came true"
        time.sleep(0.1)


def nothing_is_left(settings: dict[str, str]) -> None:
    """No stack, no process of one, no folder of sockets."""
    refused(tulle(settings, "status"), "No stack runs here")
    place = layout(StackSettings(data_dir=Path(settings["TULLE_DATA_DIR"])))
    assert not place.run.exists()
    assert not place.postgres_socket.exists()
    state = control.told(place)
    assert not any(process["pid"] for process in state.get("processes", []))


def test_status_is_for_programs_too(stack: Stack) -> None:
    """`status --json` has start-up time and each process's state, PID, memory and address."""
    told = json.loads(tulle(settings_of(stack), "status", "--json").stdout)
    assert told["startup_seconds"] > 0
    assert told["memory_mb"] < 500 + 100 * len(SERVICES)
    for process in told["processes"]:
        assert process["state"] == "ready"
        assert psutil.pid_exists(process["pid"])
        assert process["memory_mb"] > 1
        assert process["address"]


def test_a_process_is_restarted_on_request(stack: Stack) -> None:
    """`restart NAME` comes back when the process is ready again, as another one."""
    before = stack.process("users")["pid"]
    assert tulle(settings_of(stack), "restart", "users").returncode == 0
    assert stack.process("users")["pid"] != before
    refused(tulle(settings_of(stack), "restart", "nobody"), "no process nobody", "./tulle status")


async def test_whatever_dies_comes_back(own_stack: Stack) -> None:
    """Each process that is killed is started again, and status says how often."""
    names = [process["name"] for process in control.told(own_stack.layout)["processes"]]
    for name in names:
        own_stack.kill(name)
    await eventually(lambda: _restarted(own_stack, names))
    await own_stack.ready()
    person = await own_stack.person().arrive()
    answer = await person.rest.get("/v1/users/me", headers=person.bearer)
    await person.rest.aclose()
    assert answer.status_code == 200


async def _restarted(stack: Stack, names: list[str]) -> bool:
    return all(stack.process(name)["restarts"] >= 1 for name in names)


async def test_whatever_stops_answering_is_shown(own_stack: Stack) -> None:
    """A process that is stopped is not ready until it goes on; it is neither ended nor replaced."""
    before = control.told(own_stack.layout)["processes"]
    for process in before:
        os.kill(process["pid"], signal.SIGSTOP)
    try:
        await eventually(lambda: _all_in(own_stack, "not ready"))
    finally:
        for process in before:
            os.kill(process["pid"], signal.SIGCONT)
    await own_stack.ready()
    after = control.told(own_stack.layout)["processes"]
    assert [(process["pid"], process["restarts"]) for process in after] == [
        (process["pid"], process["restarts"]) for process in before
    ]


async def _all_in(stack: Stack, state: str) -> bool:
    return {process["state"] for process in control.told(stack.layout)["processes"]} == {state}


async def test_nothing_outlives_the_supervisor(own_stack: Stack) -> None:
    """A stack whose supervisor is killed leaves nothing running, and the next start finds its data."""
    person = await own_stack.person().arrive()
    await person.rest.aclose()
    told = control.told(own_stack.layout)
    pids = [process["pid"] for process in told["processes"]]
    os.kill(told["pid"], signal.SIGKILL)
    await eventually(lambda: _gone(pids))
    own_stack.start()
    assert len(await own_stack.profiles([person.user_id])) == 1


async def _gone(pids: list[int]) -> bool:
    return not any(psutil.pid_exists(pid) for pid in pids)
