"""What every store of users promises; run against PostgreSQL and against the fake."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mesh.model import Caller, OrganisationId, SessionId, User, UserId
from services.users.domain import (
    HandleTaken,
    Preferences,
    PreferencesUpdated,
    Profile,
    ProfileUpdated,
    StalePreferences,
    StaleProfile,
    Theme,
    WeekStart,
)
from tests.contract.users.stores import Kept

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
LATER = NOON + timedelta(hours=1)
ORGANISATION = OrganisationId("organisation_1")
ADA, BOB, CY = UserId("user_ada"), UserId("user_bob"), UserId("user_cy")


def profile(user_id: UserId) -> Profile:
    return Profile(user_id=user_id, organisation_id=ORGANISATION, create_time=NOON, update_time=NOON)


def preferences(user_id: UserId) -> Preferences:
    return Preferences(user_id=user_id, organisation_id=ORGANISATION, update_time=NOON)


async def create(kept: Kept, *user_ids: UserId) -> None:
    for user_id in user_ids:
        await kept.store.create(profile(user_id), preferences(user_id))


async def save(kept: Kept, old: Profile, **values: Any) -> Profile:
    new = replace(old, **values, version=old.version + 1, update_time=LATER)
    await kept.store.save_profile(new, ProfileUpdated.of(by(old.user_id), old, new))
    return new


async def save_preferences(kept: Kept, old: Preferences, **values: Any) -> Preferences:
    new = replace(old, **values, version=old.version + 1, update_time=LATER)
    await kept.store.save_preferences(new, PreferencesUpdated.of(by(old.user_id), old, new))
    return new


def by(user_id: UserId) -> Caller:
    return Caller("gateway", User(user_id, ORGANISATION, SessionId("session_1")))


async def test_what_was_created_is_read(kept: Kept) -> None:
    """A newcomer's profile and preferences are read as they were created, and announce nothing."""
    await create(kept, ADA)
    assert await kept.store.profile(ADA) == profile(ADA)
    assert await kept.store.preferences(ADA) == preferences(ADA)
    assert await kept.announced() == []


async def test_what_is_somebody_s_can_belong_to_another_organisation(kept: Kept) -> None:
    """Profile and preferences go together and stay as they are, as do those of others."""
    await create(kept, ADA, BOB)
    other = OrganisationId("organisation_2")
    for _ in range(2):
        await kept.store.settle(ADA, other)
    assert await kept.store.profile(ADA) == replace(profile(ADA), organisation_id=other)
    assert await kept.store.preferences(ADA) == replace(preferences(ADA), organisation_id=other)
    assert await kept.store.profile(BOB) == profile(BOB)


async def test_nothing_is_read_of_a_stranger(kept: Kept) -> None:
    """Who was never created has neither profile nor preferences."""
    assert await kept.store.profile(ADA) is None
    assert await kept.store.preferences(ADA) is None


async def test_creating_again_changes_nothing(kept: Kept) -> None:
    """Create leaves those who exist as they are."""
    await create(kept, ADA)
    changed = await save(kept, profile(ADA), handle="ada")
    dark = await save_preferences(kept, preferences(ADA), theme=Theme.DARK)
    await create(kept, ADA)
    assert (await kept.store.profile(ADA), await kept.store.preferences(ADA)) == (changed, dark)


async def test_what_was_saved_is_read(kept: Kept) -> None:
    """Every field that can change is kept."""
    await create(kept, ADA, BOB)
    values = {
        "display_name": "Ada 🦋",
        "handle": "ada",
        "locale": "pt-PT",
        "time_zone": "Europe/Lisbon",
        "avatar_url": "https://a.example/a.png",
    }
    assert await save(kept, profile(ADA), **values) == await kept.store.profile(ADA)
    saved = await save_preferences(
        kept, preferences(ADA), theme=Theme.DARK, product_news=True, week_start=WeekStart.SUNDAY
    )
    assert await kept.store.preferences(ADA) == saved
    assert (await kept.store.profile(BOB), await kept.store.preferences(BOB)) == (profile(BOB), preferences(BOB))


async def test_each_change_is_announced_in_its_place(kept: Kept) -> None:
    """Each save announces one event, numbered by the version of its own aggregate."""
    await create(kept, ADA)
    once = await save(kept, profile(ADA), handle="ada")
    await save(kept, once, handle="countess")
    await save_preferences(kept, preferences(ADA), product_news=True)
    assert sorted(await kept.announced()) == [
        (PreferencesUpdated.type, "preferences", ADA, 1),
        (ProfileUpdated.type, "profile", ADA, 1),
        (ProfileUpdated.type, "profile", ADA, 2),
    ]


async def test_another_version_is_not_replaced(kept: Kept) -> None:
    """Saving on top of a version that is not the stored one is refused, and neither kept nor announced."""
    await create(kept, ADA)
    current = await save(kept, profile(ADA), handle="ada")
    for stale in (profile(ADA), replace(current, version=2)):
        with pytest.raises(StaleProfile):
            await save(kept, stale, handle="late")
    with pytest.raises(StalePreferences):
        await save_preferences(kept, replace(preferences(ADA), version=1), product_news=True)
    assert (await kept.store.profile(ADA), len(await kept.announced())) == (current, 1)


async def test_nobody_is_created_by_saving(kept: Kept) -> None:
    """Saving what was never created is refused."""
    with pytest.raises(StaleProfile):
        await save(kept, profile(ADA), handle="ada")
    with pytest.raises(StalePreferences):
        await save_preferences(kept, preferences(ADA), product_news=True)


async def test_a_handle_belongs_to_one_person(kept: Kept) -> None:
    """A handle that another has is refused, and is free once they give it up."""
    await create(kept, ADA, BOB)
    ada = await save(kept, profile(ADA), handle="ada")
    with pytest.raises(HandleTaken):
        await save(kept, profile(BOB), handle="ada")
    assert await kept.store.profile(BOB) == profile(BOB)
    await save(kept, ada, handle="")
    await save(kept, profile(BOB), handle="ada")


async def test_keeping_the_own_handle_is_no_clash(kept: Kept) -> None:
    """A change of something else keeps the handle; and many may have none."""
    await create(kept, ADA, BOB)
    ada = await save(kept, profile(ADA), handle="ada")
    await save(kept, ada, display_name="Ada")
    await save(kept, profile(BOB), display_name="Bob")


async def test_several_are_read_at_once(kept: Kept) -> None:
    """Those who exist are found, each once."""
    await create(kept, ADA, BOB)
    found = await kept.store.profiles([BOB, CY, ADA, BOB])
    assert sorted(p.user_id for p in found) == [ADA, BOB]


async def test_a_page_goes_on_after_an_id(kept: Kept) -> None:
    """A page holds the next profiles by id, as many as asked for."""
    await create(kept, CY, ADA, BOB)
    assert [p.user_id for p in await kept.store.page("", "", 2)] == [ADA, BOB]
    assert [p.user_id for p in await kept.store.page("", BOB, 2)] == [CY]


async def test_a_page_of_handles_begins_with_the_prefix(kept: Kept) -> None:
    """With a prefix only handles that begin with it are found, by id, the prefix itself included."""
    handles = {ADA: "ad_z", BOB: "ad", CY: "ae"}
    await create(kept, *handles, UserId("user_none"))
    for user_id, handle in handles.items():
        await save(kept, profile(user_id), handle=handle)
    assert [p.handle for p in await kept.store.page("ad", "", 9)] == ["ad_z", "ad"]
    assert [p.handle for p in await kept.store.page("ad", ADA, 9)] == ["ad"]
    assert await kept.store.page("ad%", "", 9) == []
