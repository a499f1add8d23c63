"""What comes of a delivery: attempted, tried again, given up, never twice where that would be wrong."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from infra.postgres import Contention
from mesh.model import NotFound, Unavailable
from mesh.tasks import ended
from services.notifications.domain import insisting
from services.notifications.domain import sending as rules
from services.notifications.domain.deliveries import (
    BrokenTemplate,
    Delivery,
    Outcome,
    Reason,
    Refused,
    State,
    Unclear,
    Undeliverable,
)
from services.notifications.limits import (
    DELIVERY_LEASE,
    DELIVERY_TRIED,
    MAILS_TO_ADDRESS,
    MAILS_TO_ADDRESS_WINDOW,
    SENDERS,
)
from services.notifications.sender import Sender
from tests.fakes.notifications import FakeStore
from tests.unit.services.notifications.world import World


@pytest.fixture
def world() -> World:
    return World()


async def test_what_is_due_goes_out_once(world: World) -> None:
    """Then there is nothing more to do."""
    await world.wanted()
    assert await world.sending.send_next()
    assert not await world.sending.send_next()
    assert (world.sent, world.told()) == (["mail_1"], (State.SENT, Reason.NONE))


@pytest.mark.parametrize(
    ("failure", "outcome"),
    [
        (Refused(), (State.FAILED, Reason.REFUSED)),
        (Undeliverable(), (State.FAILED, Reason.UNDELIVERABLE)),
        (BrokenTemplate(), (State.FAILED, Reason.BROKEN_TEMPLATE)),
        (NotFound(), (State.WITHHELD, Reason.NOBODY)),
        (Unavailable(), (State.WAITING, Reason.UNAVAILABLE)),
        (Unclear(), (State.WAITING, Reason.UNCLEAR)),
    ],
)
async def test_what_goes_wrong_is_an_outcome(world: World, failure: Exception, outcome: tuple[State, Reason]) -> None:
    """What is for ever is kept as such, what may pass is tried again; nothing is raised."""
    world.fails = [failure]
    await world.wanted()
    assert await world.sending.send_next()
    assert world.told() == outcome


@pytest.mark.parametrize(
    ("repeatable", "outcome"), [(True, (State.WAITING, Reason.INTERNAL)), (False, (State.FAILED, Reason.INTERNAL))]
)
async def test_what_nobody_foresaw_is_told_once_it_is_settled(
    world: World, repeatable: bool, outcome: tuple[State, Reason]
) -> None:
    """The next delivery does not meet it; security is tried again, anything else may have gone out."""
    world.fails = [TypeError()]
    await world.wanted("1", repeatable=repeatable)
    with pytest.raises(TypeError):
        await world.sending.send_next()
    assert world.told("1") == outcome
    world.now += timedelta(milliseconds=1)
    await world.wanted("2")
    assert await world.sending.send_next()
    assert world.told("2") == (State.SENT, Reason.NONE)


async def test_a_lane_outlives_what_nobody_foresaw(world: World) -> None:
    """The sender goes on with what is due next."""
    world.fails = [TypeError() for _ in range(2 * int(SENDERS))]
    for number in range(2 * int(SENDERS) + 1):
        await world.wanted(str(number), repeatable=False)
    sender = asyncio.ensure_future(Sender(world.sending).run())
    try:
        async with asyncio.timeout(10):
            while any(one.state in (State.WAITING, State.SENDING) for one in world.store.kept.values()):
                assert not sender.done()
                await asyncio.sleep(0.01)
    finally:
        await ended(sender)
    assert len(world.sent) == 1


async def test_asking_takes_so_long_at_most(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory that does not answer leaves the lease to nobody else: it is asked again later."""

    async def silent(delivery: Delivery) -> None:
        await asyncio.sleep(3600)

    monkeypatch.setattr(rules, "DELIVERY_PREPARED", 0.01)
    await world.wanted()
    assert await replace(world.sending, directory=cast(Any, SimpleNamespace(addressee=silent))).send_next()
    assert world.told() == (State.WAITING, Reason.UNAVAILABLE)


@pytest.mark.parametrize("kind", ["", "billing_digest"], ids=["security", "digest"])
async def test_a_store_that_is_away_hears_later_what_came_of_it(
    world: World, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """What was sent while the store was away is not sent again, nor does it wait for its lease to end."""
    monkeypatch.setattr(insisting, "PAUSE", 0.001)
    away = [Unavailable(), Contention(), Unavailable()]
    settle = world.store.settle

    async def slow(*what: Any) -> None:
        if away:
            raise away.pop()
        await settle(*what)

    monkeypatch.setattr(world.store, "settle", slow)
    await world.wanted(kind=kind)
    assert await world.sending.send_next()
    assert (len(world.sent), world.told()) == (1, (State.SENT, Reason.NONE))


class Flaky:
    """A store that is away as often as `away` says, whatever it is asked."""

    def __init__(self, store: FakeStore) -> None:
        self.store, self.away = store, 0

    def __getattr__(self, name: str) -> Any:
        async def asked(*what: Any) -> Any:
            if self.away:
                self.away -= 1
                raise Unavailable
            return await getattr(self.store, name)(*what)

        return asked


async def test_a_mail_that_was_taken_is_sent_whatever_else_is_to_be_noted(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that goes away at that moment, when an address is known to take mail again, has no mail go out twice."""
    monkeypatch.setattr(insisting, "PAUSE", 0.001)
    await world.wanted("0", kind="invoice_paid")
    world.fails = [Undeliverable()]
    await world.work()
    store, send, flaky = world.store, world.send, Flaky(world.store)

    async def taken(*what: Any) -> None:
        await send(*what)
        flaky.away = 2

    monkeypatch.setattr(world, "send", taken)
    world.store = cast(Any, flaky)
    await world.wanted()
    await world.work()
    world.store = store
    assert (len(world.sent), world.told(), store.unreachable) == (1, (State.SENT, Reason.NONE), set())


async def test_a_store_that_stays_away_is_left_when_the_lease_ends(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then another sender may have it, and the worker says what is wrong."""
    monkeypatch.setattr(insisting, "PAUSE", 0.001)
    monkeypatch.setattr(rules, "DELIVERY_LEASE", 0.05)

    async def gone(*_: Any) -> None:
        raise Unavailable

    monkeypatch.setattr(world.store, "settle", gone)
    await world.wanted()
    with pytest.raises(Unavailable):
        await world.sending.send_next()
    assert world.told()[0] is State.SENDING


async def test_what_must_not_come_twice_is_lost_rather_than_repeated(world: World) -> None:
    """A mail that may have been taken goes again if it is about security, and else does not."""
    world.fails = [Unclear()]
    await world.wanted(repeatable=False)
    await world.sending.send_next()
    assert world.told() == (State.LOST, Reason.UNCLEAR)
    world.now += timedelta(days=1)
    assert not await world.sending.send_next()


async def test_pauses_grow_and_end(world: World) -> None:
    """Attempts are a second apart, then two, then four; after a day it is given up."""
    world.fails = [Unavailable() for _ in range(1000)]
    await world.wanted()
    began, pauses = world.now, []
    while await world.sending.send_next():
        if world.told()[0] is not State.WAITING:
            break
        pauses.append((world.store.kept["delivery_1"].not_before - world.now).total_seconds())
        world.now = world.store.kept["delivery_1"].not_before
    assert pauses[:4] == [1, 2, 4, 8]
    assert max(pauses) == 300
    assert world.told() == (State.FAILED, Reason.UNAVAILABLE)
    assert world.now - began > timedelta(seconds=DELIVERY_TRIED)


async def test_a_dead_sender_s_work_is_taken_over(world: World) -> None:
    """After its lease security mail goes out under the same id; anything else is swept up as lost."""
    await world.wanted("1", repeatable=True)
    await world.wanted("2", repeatable=False)
    for _ in range(2):
        await world.store.claim(world.now, world.now + timedelta(seconds=DELIVERY_LEASE))
    assert not await world.sending.send_next()
    world.now += timedelta(seconds=DELIVERY_LEASE)
    assert await world.sending.sweep() == 1
    assert await world.sending.send_next()
    assert (world.told("1")[0], world.told("2")[0]) == (State.SENT, State.LOST)
    assert world.sent == ["mail_1"]


async def test_of_what_strangers_ask_for_an_address_gets_so_many(world: World) -> None:
    """In an hour; what happened to an account is told however often it happens."""
    for number in range(int(MAILS_TO_ADDRESS) + 1):
        await world.wanted(str(number))
        await world.sending.send_next()
    assert world.told(str(int(MAILS_TO_ADDRESS))) == (State.WITHHELD, Reason.THROTTLED)
    world.now += timedelta(seconds=MAILS_TO_ADDRESS_WINDOW + 1)
    await world.wanted("later")
    await world.sending.send_next()
    assert world.told("later") == (State.SENT, Reason.NONE)
    world.kind = "password_changed"
    for number in range(100, 100 + int(MAILS_TO_ADDRESS) + 2):
        await world.wanted(str(number))
        await world.sending.send_next()
        assert world.told(str(number))[0] is State.SENT


async def test_an_unknown_kind_and_nobody_are_outcomes(world: World) -> None:
    """A newer auth's mail, and one that is for nobody, hold nothing up."""
    world.kind = "from_the_future"
    await world.wanted("1")
    await world.sending.send_next()
    world.nobody = True
    await world.wanted("2")
    await world.sending.send_next()
    assert world.told("1") == (State.FAILED, Reason.UNKNOWN_KIND)
    assert world.told("2") == (State.WITHHELD, Reason.NOBODY)
    assert Outcome(*world.told("2")).not_before is None
