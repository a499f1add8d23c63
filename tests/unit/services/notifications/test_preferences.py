"""What people want to be told, and links that end mails."""

from __future__ import annotations

from datetime import UTC, datetime, time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.model import UserId
from services.notifications.domain.kinds import Category
from services.notifications.domain.preferences import (
    DEFAULTS,
    Channel,
    Choice,
    ChoiceChange,
    Choosing,
    EmptyQuietHours,
    Preferences,
    PreferencesChange,
    StalePreferences,
)
from services.notifications.domain.quiet import QuietHours
from services.notifications.domain.unsubscribing import BadUnsubscribeToken, Links
from tests.fakes.notification_preferences import FakePreferences

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
ADA = UserId("user_ada")
LINKS = Links(b"key", "http://x")


@pytest.fixture
def choosing() -> Choosing:
    return Choosing(FakePreferences(), now=lambda: NOON)


async def test_what_is_not_named_stays(choosing: Choosing) -> None:
    """A change touches what it names; naming a category without a choice returns it to its default."""
    await choosing.update(ADA, PreferencesChange(choices={Category.BILLING: ChoiceChange(mail=False)}))
    new = await choosing.update(ADA, PreferencesChange(choices={Category.BILLING: ChoiceChange(daily=True)}))
    assert new.choice(Category.BILLING) == Choice(mail=False, daily=True)
    assert new.choice(Category.CONTENT) == DEFAULTS[Category.CONTENT]
    back = await choosing.update(ADA, PreferencesChange(choices={Category.BILLING: None}))
    assert back.choice(Category.BILLING) == DEFAULTS[Category.BILLING]


async def test_a_change_that_changes_nothing_is_none(choosing: Choosing) -> None:
    """It makes no new version."""
    change = PreferencesChange(quiet=(QuietHours(time(22), time(7)),))
    assert (await choosing.update(ADA, change)).version == 1
    assert (await choosing.update(ADA, change)).version == 1


@pytest.mark.parametrize("category", [one for one in Category if one is not Category.SECURITY])
async def test_saying_the_default_says_nothing_new(choosing: Choosing, category: Category) -> None:
    """What was read can be sent back without a new version."""
    read = DEFAULTS[category]
    change = ChoiceChange(mail=read.mail, push=read.push, in_app=read.in_app, daily=read.daily)
    assert (await choosing.update(ADA, PreferencesChange(choices={category: change}))).version == 0


async def test_an_old_etag_is_refused(choosing: Choosing) -> None:
    """Whoever says which version they mean changes that one only."""
    await choosing.update(ADA, PreferencesChange(etag="0", choices={Category.CONTENT: ChoiceChange(push=False)}))
    with pytest.raises(StalePreferences):
        await choosing.update(ADA, PreferencesChange(etag="0", quiet=(None,)))


async def test_quiet_hours_have_a_length(choosing: Choosing) -> None:
    """From seven to seven says neither never nor always."""
    with pytest.raises(EmptyQuietHours):
        await choosing.update(ADA, PreferencesChange(quiet=(QuietHours(time(7), time(7)),)))


def test_security_is_no_matter_of_choice() -> None:
    """Every way stays open for security, whatever was stored."""
    closed = Preferences(user_id=ADA, choices={Category.SECURITY: Choice(mail=False, push=False, in_app=False)})
    assert all(closed.choice(Category.SECURITY).open(channel) for channel in Channel)


@pytest.mark.parametrize("channel", Channel)
def test_each_way_has_a_switch(channel: Channel) -> None:
    """Each way is closed by its own switch and by no other."""
    closed = ChoiceChange(**{channel.value: False}).of(Choice())
    assert [way for way in Channel if not closed.open(way)] == [channel]


async def test_unsubscribing_ends_the_mails_of_one_category(choosing: Choosing) -> None:
    """Its mails and nothing else, also asked twice."""
    for _ in range(2):
        await choosing.unsubscribe(ADA, Category.CONTENT)
    new = await choosing.preferences(ADA)
    assert new.choice(Category.CONTENT) == Choice(mail=False)
    assert new.choice(Category.BILLING) == DEFAULTS[Category.BILLING]
    assert new.version == 1


@pytest.mark.parametrize("category", Category)
def test_a_link_says_whose_mails_it_ends(category: Category) -> None:
    """What a token was made for is read from it; another key reads nothing."""
    token = LINKS.token(ADA, category)
    assert LINKS.read(token) == (ADA, category)
    with pytest.raises(BadUnsubscribeToken):
        Links(b"other", "http://x").read(token)


@given(st.text(max_size=80) | st.binary(max_size=80).map(lambda raw: raw.hex()), st.integers(0, 60))
def test_no_other_link_is_ours(text: str, place: int) -> None:
    """Anything else, and ours with one letter changed, is refused."""
    token = LINKS.token(ADA, Category.BILLING)
    letter = "A" if token[place : place + 1] != "A" else "B"
    for other in (text, token[:place], token[:place] + letter + token[place + 1 :]):
        if other != token:
            with pytest.raises(BadUnsubscribeToken):
                LINKS.read(other)
