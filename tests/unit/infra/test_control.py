"""Who runs here: what verbs believe, and what they do not."""

from __future__ import annotations

import json
import multiprocessing
import os
import tempfile
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from infra.local import control
from infra.local import layout as layouts
from infra.local.control import NotRunning
from infra.local.layout import Layout, Unusable, layout
from infra.settings import StackSettings


@pytest.fixture
def place(tmp_path: Path) -> Layout:
    return layout(StackSettings(data_dir=tmp_path / "data"))


def dead() -> dict[str, float]:
    """The identity of a process that is gone, whose number is another's now."""
    return {"pid": os.getpid(), "born": 1.0}


def test_the_lock_says_who_holds_it(place: Layout) -> None:
    """The stack is the process that holds the lock, whatever an earlier one has said of itself."""
    (place.data / "state.json").write_text(json.dumps(dead() | {"processes": []}))
    with control.lock(place) as held:
        control.claim(held)
        assert control.supervisor(place).pid == os.getpid()
        with pytest.raises(Unusable, match="is starting"):
            control.state(place)
        (place.data / "state.json").write_text(json.dumps(control.identity() | {"processes": []}))
        assert control.state(place)["pid"] == os.getpid()
    with pytest.raises(NotRunning):
        control.state(place)


def test_a_lock_that_is_held_for_a_moment_is_no_stack(place: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is stopped who holds the lock without saying that it is the stack."""
    monkeypatch.setattr(control, "CLAIM_WITHIN", 0.1)
    for left in ("", json.dumps(dead()), '{"pid"', "[]"):
        (place.data / "lock").write_text(left)
        with control.lock(place), pytest.raises(Unusable, match="at work in this folder"):
            control.stop(place)


@pytest.mark.parametrize(
    "said", [None, "", "{", "[]", "{}", '{"processes": [{"pid": 1}]}', '{"processes": [{"pid": null, "born": null}]}']
)
def test_a_broken_file_stops_no_verb(place: Layout, said: str | None) -> None:
    """Without what a stack has said of itself, or with half of it, nothing runs and nothing is left to end."""
    if said is not None:
        (place.data / "state.json").write_text(said)
    for verb in (control.state, control.stop):
        with pytest.raises(NotRunning):
            verb(place)


@pytest.mark.parametrize("known", ["", "{", "[]", '{"nats": "many"}', '{"nats": null}'])
def test_broken_ports_are_chosen_anew(tmp_path: Path, known: str) -> None:
    """A file of ports that cannot be read is written again."""
    settings = StackSettings(data_dir=tmp_path / "data")
    before = layout(settings).ports
    (tmp_path / "data" / "ports.json").write_text(known)
    assert layout(settings).ports.keys() == before.keys()
    assert json.loads((tmp_path / "data" / "ports.json").read_text())["nats"] > 0


def _refusal(settings: StackSettings, answer: Connection) -> None:
    """What somebody who is not root is told. The kernel lets root write everything."""
    if os.getuid() == 0:
        os.setgroups([])
        os.setuid(65534)
    try:
        layout(settings)
        answer.send("")
    except Unusable as error:
        answer.send(str(error))


@pytest.mark.parametrize("name", ["lock", "logs", "ports.json"])
def test_what_another_user_left_is_named(name: str) -> None:
    """A file that cannot be written, as after one `up` with sudo, is refused by its name before anything is made."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        data = Path(folder, "data")
        layout(StackSettings(data_dir=data))
        for made in data.iterdir():
            made.chmod(0o666)
        data.chmod(0o777)
        (data / name).touch() if "." in name or name == "lock" else (data / name).mkdir()
        (data / name).chmod(0o444)
        ours, theirs = multiprocessing.Pipe()
        child = multiprocessing.get_context("fork").Process(
            target=_refusal, args=(StackSettings(data_dir=data), theirs)
        )
        child.start()
        assert ours.poll(10)
        assert str(data / name) in (said := ours.recv()) and "cannot be written" in said
        child.join()


def test_ports_that_are_known_are_not_looked_for(place: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """A verb beside a running stack tries no port: those of last time are its own."""
    monkeypatch.setattr(layouts, "bind", lambda *_: pytest.fail("a port was tried"))
    assert layout(place.settings).ports == place.ports
