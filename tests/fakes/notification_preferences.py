"""Preferences in memory; passes the contract suite of the real store."""

from __future__ import annotations

from mesh.model import UserId
from services.notifications.domain.preferences import Preferences, StalePreferences


class FakePreferences:
    """A `services.notifications.domain.preferences.PreferencesStore`."""

    def __init__(self) -> None:
        self._kept: dict[UserId, Preferences] = {}

    async def preferences(self, user_id: UserId) -> Preferences:
        return self._kept.get(user_id, Preferences(user_id=user_id))

    async def save_preferences(self, preferences: Preferences) -> None:
        if (await self.preferences(preferences.user_id)).version != preferences.version - 1:
            raise StalePreferences
        self._kept[preferences.user_id] = preferences
