"""In the app and by push: as far as people want it, not at night, never twice, and each decision is written down."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest

from mesh.model import Unavailable
from services.notifications.domain.deliveries import Reason, State
from services.notifications.domain.judging import TOLD_MOST
from services.notifications.domain.kinds import Category
from services.notifications.domain.preferences import ChoiceChange, PreferencesChange
from services.notifications.domain.quiet import QuietHours
from services.notifications.inbox.domain import Inbox
from services.notifications.telling import Telling
from tests.fakes.inbox import FakeInboxes
from tests.unit.services.notifications.world import ADA, World

NIGHT = QuietHours(time(22), time(7))
PAID = {"number": "EX-1", "invoice_id": "invoice_1"}


@pytest.fixture
def world() -> World:
    return World(now=datetime(2026, 1, 2, 12, tzinfo=UTC))


@pytest.fixture
def telling(world: World) -> Telling:
    no_bell: Any = None
    inbox = Inbox(FakeInboxes(), no_bell, lambda: world.now)
    return Telling(world.store, inbox, world.preferences, lambda: world.now)


def outcomes(world: World, event_id: str) -> dict[str, tuple[State, Reason]]:
    """By channel, of one event."""
    found = [one for one in world.store.kept.values() if one.event_id == event_id]
    return {one.channel: (one.state, one.reason) for one in found}


async def unread(telling: Telling) -> int:
    return (await telling.inbox.store.state(ADA)).unread


async def test_both_are_told_once(world: World, telling: Telling) -> None:
    """However often the event comes, also anew: one message, and one push that knows its number."""
    for _ in range(3):
        await telling.tell("event_1", ADA, "invoice_paid", PAID)
        await world.work()
    assert await unread(telling) == 1
    assert world.pushed == [("invoice_paid", 1)]
    assert outcomes(world, "event_1") == {"in_app": (State.SENT, Reason.NONE), "push": (State.SENT, Reason.NONE)}


async def test_what_is_off_is_not_told_and_says_so(world: World, telling: Telling) -> None:
    """Each way by its own switch."""
    await world.wants(PreferencesChange(choices={Category.BILLING: ChoiceChange(push=False, in_app=False)}))
    await telling.tell("event_1", ADA, "invoice_paid", PAID)
    await world.work()
    off = (State.WITHHELD, Reason.PREFERENCE_OFF)
    assert outcomes(world, "event_1") == {"in_app": off, "push": off}
    assert (await unread(telling), world.pushed) == (0, [])


async def test_a_push_waits_for_the_morning(world: World, telling: Telling) -> None:
    """The inbox has it at once, silently."""
    world.now = datetime(2026, 1, 2, 23, tzinfo=UTC)
    await world.wants(PreferencesChange(quiet=(NIGHT,)))
    await telling.tell("event_1", ADA, "invoice_paid", PAID)
    await world.work()
    assert outcomes(world, "event_1") == {"in_app": (State.SENT, Reason.NONE), "push": (State.WAITING, Reason.QUIET)}
    world.now += timedelta(hours=8)
    await world.work()
    assert world.pushed == [("invoice_paid", 1)]


async def test_too_many_pushes_are_left_to_the_inbox(world: World, telling: Telling) -> None:
    """So many in an hour; the inbox has them all."""
    for number in range(TOLD_MOST + 2):
        await telling.tell(f"event_{number}", ADA, "invoice_paid", PAID)
        await world.work()
    assert len(world.pushed) == TOLD_MOST
    assert outcomes(world, f"event_{TOLD_MOST}")["push"] == (State.WITHHELD, Reason.THROTTLED)
    assert await unread(telling) == TOLD_MOST + 2


async def test_who_has_no_browser_gets_no_push(world: World, telling: Telling) -> None:
    """And that is the reason."""
    world.browsers = 0
    await telling.tell("event_1", ADA, "invoice_paid", PAID)
    await world.work()
    assert outcomes(world, "event_1")["push"] == (State.WITHHELD, Reason.NOBODY)


async def test_what_was_perhaps_handed_over_is_not_handed_over_again(
    world: World, telling: Telling, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A commit whose answer is lost may have been one: browsers are told at most once."""
    tell = world.tell

    async def cut(*what: Any) -> int:
        await tell(*what)
        raise Unavailable

    monkeypatch.setattr(world, "tell", cut)
    await telling.tell("event_1", ADA, "invoice_paid", PAID)
    await world.work()
    world.now += timedelta(minutes=10)
    await world.work()
    assert world.pushed == [("invoice_paid", 1)]
    assert outcomes(world, "event_1")["push"] == (State.LOST, Reason.UNCLEAR)
