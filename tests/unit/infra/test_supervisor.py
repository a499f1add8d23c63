"""The supervisor by itself, over processes that are nothing but sleep."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from infra.local import control, limits, supervisor
from infra.local.layout import Layout, Unusable, layout
from infra.local.supervisor import NOT_READY, READY, Supervisor, levels, next_pause
from infra.local.unit import Unit
from infra.settings import StackSettings


async def _nothing() -> None:
    """Ready at once."""


def sleeping(name: str, *after: str) -> Unit:
    return Unit(name, "sleeps", lambda: ["sleep", "60"], _nothing, "nowhere", after=after)


@pytest.fixture
def place(tmp_path: Path) -> Layout:
    return layout(StackSettings(data_dir=tmp_path / "data"))


async def until(true: Any) -> None:
    async with asyncio.timeout(10):
        while not true():  # noqa: ASYNC110 (the supervisor tells nobody in particular)
            await asyncio.sleep(0.01)


async def test_what_dies_is_started_again(place: Layout) -> None:
    """A killed process comes back under a new number, is counted, and its end is told."""
    stack = Supervisor(place, (sleeping("one"), sleeping("two", "one")), time.time())
    await stack.start()
    try:
        (one, two), before = stack.statuses, stack.statuses[0].pid
        assert (one.state, two.state) == (READY, READY)
        running = stack._running["one"].process
        assert running is not None
        running.kill()
        await until(lambda: one.restarts == 1 and one.state == READY)
        assert one.pid != before
    finally:
        await stack.stop()
    assert [status.pid for status in stack.statuses] == [None, None]


async def test_a_start_that_fails_stops_what_had_started(place: Layout) -> None:
    """When one unit cannot start, those that were ready already are stopped, and the reason is told."""
    before: list[psutil.Process] = []

    async def prepare() -> None:
        before.extend(child for child in psutil.Process().children() if child.name() == "sleep")
        raise Unusable("no room")

    stack = Supervisor(place, (sleeping("one"), replace(sleeping("two", "one"), prepare=prepare)), time.time())
    with pytest.raises(Unusable, match="no room"):
        await stack.start()
    assert len(before) == 1
    assert not before[0].is_running()
    assert [status.pid for status in stack.statuses] == [None, None]


async def test_what_stops_answering_is_shown(place: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that was ready and does not answer is not ready, and why is told, until it answers again."""
    faults: list[Exception] = []

    async def ready() -> None:
        if faults:
            raise faults[0]

    for name in ("PROBE_EVERY", "PROBE_AGAIN"):
        monkeypatch.setattr(supervisor, name, 0.01)
    stack = Supervisor(place, (Unit("one", "sleeps", lambda: ["sleep", "60"], ready, "nowhere"),), time.time())
    await stack.start()
    try:
        (one,) = stack.statuses
        for fault, told in ((OSError("closed"), "closed"), (TimeoutError(), "no answer within")):
            faults[:] = [fault]
            await until(lambda told=told: one.state == NOT_READY and told in one.problem)
            assert control.told(place)["processes"][0]["state"] == NOT_READY
            faults.clear()
            await until(lambda: one.state == READY and one.problem == "")
        assert one.restarts == 0
    finally:
        await stack.stop()


async def test_trouble_with_certificates_is_told_and_passes(place: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """When certificates cannot be renewed `status` says so, the next look tries again, and then it is forgotten."""
    full = True

    def certify(*_: object) -> None:
        if full:
            raise OSError("disk full")

    monkeypatch.setattr(supervisor, "certify", certify)
    monkeypatch.setattr(supervisor, "STACK_CARE", 0.01)
    stack = Supervisor(place, (), time.time())
    care = asyncio.create_task(stack.look_after(SimpleNamespace()))  # type: ignore[arg-type]
    await until(lambda: "disk full" in control.told(place)["problem"])
    full = False
    await until(lambda: control.told(place)["problem"] == "")
    assert not care.done()
    care.cancel()


def test_dependents_stop_first() -> None:
    """Nothing is stopped while something that needs it runs."""
    units = [sleeping("box"), sleeping("sidecar"), sleeping("service", "box", "sidecar"), sleeping("edge", "service")]
    assert list(levels(units)) == [["edge"], ["service"], ["box", "sidecar"]]


def test_pauses_grow_until_a_life_was_steady() -> None:
    """A process that keeps dying waits longer and longer, up to a bound; one that lived well begins anew."""
    pauses = [next_pause(0, 0)]
    for _ in range(20):
        pauses.append(next_pause(pauses[-1], 0))
    assert pauses == sorted(pauses)
    assert pauses[-1] == pauses[-2] == limits.BACK_OFF_LONGEST
    assert next_pause(pauses[-1], limits.STEADY + 1) == pauses[0] == limits.BACK_OFF


async def test_two_restarts_at_once_leave_one_process(place: Layout) -> None:
    """However many ask for it at once, a unit has one process afterwards, and stopping ends it."""
    stack = Supervisor(place, (sleeping("one"),), time.time())
    await stack.start()
    first = stack.statuses[0].pid
    try:
        await asyncio.gather(*(stack.restart("one") for _ in range(3)))
        asleep = [child.pid for child in psutil.Process().children() if child.name() == "sleep"]
        assert asleep == [stack.statuses[0].pid]
        assert stack.statuses[0].pid != first
    finally:
        await stack.stop()
