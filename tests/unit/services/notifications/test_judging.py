"""What people want, and what they have had, decides what goes out, and when; security goes out in any case."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.model import Unavailable
from services.notifications.domain.deliveries import Outcome, Reason, State, Undeliverable
from services.notifications.domain.judging import TOLD_MOST, TOLD_WINDOW, Case, verdict
from services.notifications.domain.kinds import KINDS, Category
from services.notifications.domain.preferences import Channel, Choice, ChoiceChange, Preferences, PreferencesChange
from services.notifications.domain.quiet import QuietHours
from services.notifications.limits import DELIVERY_LEASE, DELIVERY_TRIED
from tests.unit.services.notifications.world import ADA, World

NIGHT = QuietHours(time(22), time(7))
HELD = (Reason.DIGEST, Reason.THROTTLED)


@pytest.fixture
def world() -> World:
    return World(now=datetime(2026, 1, 2, 12, tzinfo=UTC))


def daily(on: bool = True) -> PreferencesChange:
    return PreferencesChange(choices={Category.BILLING: ChoiceChange(daily=on)})


CHOICES = st.builds(Choice, mail=st.booleans(), push=st.booleans(), in_app=st.booleans(), daily=st.booleans())
CASES = st.builds(
    Case,
    kind=st.sampled_from(sorted(KINDS.values(), key=lambda kind: kind.name)),
    channel=st.sampled_from(Channel),
    preferences=st.builds(
        Preferences,
        user_id=st.just(ADA),
        choices=st.dictionaries(st.sampled_from(Category), CHOICES),
        quiet=st.none() | st.just(NIGHT),
    ),
    zone=st.sampled_from(["UTC", "Europe/Berlin", "America/Sao_Paulo"]),
    now=st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC)),
    told=st.integers(0, 2 * TOLD_MOST),
    undeliverable=st.booleans(),
)


@given(CASES)
def test_security_always_goes_out(case: Case) -> None:
    """Whatever was chosen, by night and in any number."""
    if case.kind.category is Category.SECURITY:
        assert verdict(case) is None


@given(CASES)
def test_a_verdict_has_its_reason(case: Case) -> None:
    """What is closed never goes out; what waits has a time to come, out of the night and out of nobody's sight."""
    found, choice = verdict(case), case.preferences.choice(case.kind.category)
    if case.kind.category is Category.SECURITY:
        return
    if not choice.open(case.channel):
        assert found == Outcome(State.WITHHELD, Reason.PREFERENCE_OFF)
    elif found is None:
        night = case.preferences.quiet and case.preferences.quiet.until(case.now, case.zone)
        assert case.channel is Channel.IN_APP or not night
        assert not case.undeliverable
        assert not (case.channel is Channel.MAIL and choice.daily and not case.kind.digest)
    elif found.state is State.WAITING:
        assert found.not_before
        assert found.not_before > case.now
        assert bool(found.digest) == (found.reason in HELD)
        assert not found.digest or KINDS[found.digest].category is case.kind.category


async def test_what_was_switched_off_does_not_go_out(world: World) -> None:
    """Its category by this way; another category does."""
    await world.wants(PreferencesChange(choices={Category.BILLING: ChoiceChange(mail=False)}))
    await world.wanted("1", kind="invoice_paid")
    await world.wanted("2")
    await world.work()
    assert world.told("1") == (State.WITHHELD, Reason.PREFERENCE_OFF)
    assert world.told("2") == (State.SENT, Reason.NONE)


async def test_at_night_only_security_rings(world: World) -> None:
    """What is not about security waits until the morning of its reader, and then goes out."""
    world.now, world.lives_in = datetime(2026, 1, 2, 2, tzinfo=UTC), "America/Sao_Paulo"
    await world.wants(PreferencesChange(quiet=(NIGHT,)))
    await world.wanted("1", kind="invoice_paid")
    await world.wanted("2")
    await world.work()
    assert (world.told("1"), world.told("2")) == ((State.WAITING, Reason.QUIET), (State.SENT, Reason.NONE))
    world.now = datetime(2026, 1, 2, 9, 59, tzinfo=UTC)
    await world.work()
    assert world.told("1")[0] is State.WAITING
    world.now = datetime(2026, 1, 2, 10, tzinfo=UTC)
    await world.work()
    assert world.told("1") == (State.SENT, Reason.NONE)
    history = [(one.state, one.reason) for one in world.store.kept["delivery_1"].history]
    assert history == [(State.WAITING, Reason.QUIET), (State.SENT, Reason.NONE)]


async def test_a_change_of_mind_counts_until_the_last_moment(world: World) -> None:
    """What waits for the morning does not go out if it was switched off by then."""
    world.now = datetime(2026, 1, 2, 23, tzinfo=UTC)
    await world.wants(PreferencesChange(quiet=(NIGHT,)))
    await world.wanted("1", kind="invoice_paid")
    await world.work()
    await world.wants(PreferencesChange(choices={Category.BILLING: ChoiceChange(mail=False)}))
    world.now += timedelta(hours=9)
    await world.work()
    assert (world.told("1"), world.sent) == ((State.WITHHELD, Reason.PREFERENCE_OFF), [])


async def test_a_digest_is_one_mail_a_day(world: World) -> None:
    """Those of a day come together at eight, each named, and each is sent with it; the next day has its own."""
    await world.wants(daily())
    for name in ("1", "2", "3"):
        await world.wanted(name, kind="invoice_paid")
        world.now += timedelta(hours=1)
    await world.work()
    assert {world.told(name) for name in "123"} == {(State.WAITING, Reason.DIGEST)}
    world.now = datetime(2026, 1, 3, 8, tzinfo=UTC)
    await world.wanted("4", kind="invoice_paid")
    await world.work()
    (letter,) = world.letters
    assert letter.subject == "billing_digest"
    assert letter.text.splitlines() == [f"- invoice_paid {name}" for name in "123"]
    assert {world.told(name)[0] for name in "123"} == {State.SENT}
    assert world.told("4") == (State.WAITING, Reason.DIGEST)


async def test_a_digest_of_one_is_that_letter(world: World) -> None:
    """Nobody opens a list of one."""
    await world.wants(daily())
    await world.wanted("1", kind="invoice_paid")
    await world.work()
    world.now += timedelta(days=1)
    await world.work()
    assert [letter.subject for letter in world.letters] == ["invoice_paid 1"]
    assert world.told("1")[0] is State.SENT


async def test_a_digest_shares_its_fate(world: World) -> None:
    """Switched off, all of it is withheld; its sender dead, all of it is lost."""
    await world.wants(daily())
    for name in ("1", "2"):
        await world.wanted(name, kind="invoice_paid")
    await world.work()
    world.now += timedelta(days=1)
    await world.store.claim(world.now, world.now + timedelta(seconds=DELIVERY_LEASE))
    world.now += timedelta(seconds=DELIVERY_LEASE)
    assert await world.sending.sweep() == 1
    assert {world.told(name) for name in "12"} == {(State.LOST, Reason.UNCLEAR)}
    await world.wanted("3", kind="invoice_paid")
    await world.work()
    await world.wants(PreferencesChange(choices={Category.BILLING: ChoiceChange(mail=False)}))
    world.now += timedelta(days=1)
    await world.work()
    assert world.told("3") == (State.WITHHELD, Reason.PREFERENCE_OFF)


async def test_what_is_too_much_joins_the_digest(world: World) -> None:
    """So many go out at once, the rest together the next morning; nothing is dropped."""
    names = [f"{number}" for number in range(TOLD_MOST + 3)]
    for name in names:
        await world.wanted(name, kind="invoice_paid")
    await world.work()
    assert [world.told(name) for name in names[TOLD_MOST:]] == [(State.WAITING, Reason.THROTTLED)] * 3
    world.now += TOLD_WINDOW
    await world.wanted("later", kind="invoice_paid")
    await world.work()
    assert world.told("later")[0] is State.WAITING
    world.now += timedelta(seconds=1)
    await world.wanted("later still", kind="invoice_paid")
    await world.work()
    assert world.told("later still")[0] is State.SENT
    world.now = datetime(2026, 1, 3, 8, tzinfo=UTC)
    await world.work()
    assert {world.told(name)[0] for name in names} == {State.SENT}
    assert len(world.letters) == TOLD_MOST + 2


async def test_an_address_that_takes_no_mail_is_spared(world: World) -> None:
    """After it was refused once only security goes there; when that arrives, everything goes again."""
    world.fails = [Undeliverable()]
    for name in ("1", "2"):
        await world.wanted(name, kind="invoice_paid")
        await world.work()
    assert (world.told("1"), world.told("2")) == (
        (State.FAILED, Reason.UNDELIVERABLE),
        (State.WITHHELD, Reason.SUPPRESSED),
    )
    await world.wanted("3")
    await world.wanted("4", kind="invoice_paid")
    await world.work()
    assert world.told("3")[0] is State.SENT
    assert world.told("4")[0] is State.SENT


async def test_a_day_of_attempts_begins_when_waiting_ends(world: World) -> None:
    """A mail server that is away when a digest is due does not make it too old."""
    await world.wants(daily())
    await world.wanted("1", kind="invoice_paid")
    await world.work()
    world.now = datetime(2026, 1, 3, 8, tzinfo=UTC)
    world.fails = [Unavailable()]
    await world.work()
    assert world.told("1") == (State.WAITING, Reason.UNAVAILABLE)
    world.now += timedelta(seconds=DELIVERY_TRIED)
    world.fails = []
    await world.work()
    assert world.told("1")[0] is State.SENT


async def test_a_digest_that_a_day_went_into_has_a_day_of_attempts(world: World) -> None:
    """It begins at its hour, not when the first of what it collects joined it."""
    world.now = datetime(2026, 1, 2, 8, 0, 1, tzinfo=UTC)
    await world.wants(daily())
    await world.wanted("1", kind="invoice_paid")
    await world.work()
    world.now = datetime(2026, 1, 3, 8, tzinfo=UTC)
    world.fails = [Unavailable() for _ in range(5)]
    for _ in range(5):
        await world.work()
        world.now += timedelta(minutes=1)
    await world.work()
    assert world.told("1")[0] is State.SENT


async def test_only_what_is_not_about_security_can_be_ended(world: World) -> None:
    """Its letters carry a link that says whose and which; letters about security carry none."""
    await world.wanted("1", kind="invoice_paid")
    await world.wanted("2")
    await world.work()
    links = {letter.subject: letter.unsubscribe for letter in world.letters}
    assert links["reset"] == ""
    token = links["invoice_paid 1"].removeprefix("http://x/v1/notifications:unsubscribe?token=")
    assert world.sending.links.read(token) == (ADA, Category.BILLING)
