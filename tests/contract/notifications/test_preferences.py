"""What every store of preferences promises; run against PostgreSQL and against the fake."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta

import pytest

from infra.postgres import Database
from mesh.model import UserId
from services.notifications.domain.kinds import Category
from services.notifications.domain.preferences import Choice, Preferences, PreferencesStore, StalePreferences
from services.notifications.domain.quiet import QuietHours
from services.notifications.preferences_store import PostgresPreferences
from tests.fakes.notification_preferences import FakePreferences

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
ADA, BOB = UserId("user_ada"), UserId("user_bob")
FIRST = Preferences(
    user_id=ADA,
    choices={Category.BILLING: Choice(mail=False, daily=True), Category.CONTENT: Choice(push=False)},
    quiet=QuietHours(time(22), time(7, 30)),
    version=1,
    update_time=NOON,
)


@pytest.fixture
def store(database: Database | None) -> PreferencesStore:
    return PostgresPreferences(database) if database else FakePreferences()


async def test_who_said_nothing_has_the_defaults(store: PreferencesStore) -> None:
    """Whoever never saved any is in version 0, whatever others say."""
    await store.save_preferences(FIRST)
    assert await store.preferences(BOB) == Preferences(user_id=BOB)


async def test_what_was_saved_is_read(store: PreferencesStore) -> None:
    """Every field is kept, and so is that there is none."""
    await store.save_preferences(FIRST)
    assert await store.preferences(ADA) == FIRST
    second = replace(FIRST, choices={}, quiet=None, version=2, update_time=NOON + timedelta(hours=1))
    await store.save_preferences(second)
    assert await store.preferences(ADA) == second


@pytest.mark.parametrize("version", [1, 3])
async def test_another_version_is_not_replaced(store: PreferencesStore, version: int) -> None:
    """Saving on top of a version that is not the stored one is refused and changes nothing."""
    await store.save_preferences(FIRST)
    with pytest.raises(StalePreferences):
        await store.save_preferences(replace(FIRST, quiet=None, version=version))
    assert await store.preferences(ADA) == FIRST


async def test_nobody_begins_in_the_middle(store: PreferencesStore) -> None:
    """The first version that is saved is 1."""
    with pytest.raises(StalePreferences):
        await store.save_preferences(replace(FIRST, version=2))
    assert await store.preferences(ADA) == Preferences(user_id=ADA)
