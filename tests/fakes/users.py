"""Profiles in memory. tests/contract/users holds it to what the PostgreSQL store promises."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from mesh.model import Event, OrganisationId, UserId
from services.users.domain import (
    HandleTaken,
    Preferences,
    PreferencesUpdated,
    Profile,
    ProfileUpdated,
    StalePreferences,
    StaleProfile,
)


class FakeStore:
    """A `services.users.domain.Store`; `events` is what was announced, with its place in its history."""

    def __init__(self) -> None:
        self.events: list[tuple[int, Event]] = []
        self._profiles: dict[UserId, Profile] = {}
        self._preferences: dict[UserId, Preferences] = {}

    async def profile(self, user_id: UserId) -> Profile | None:
        return self._profiles.get(user_id)

    async def profiles(self, user_ids: Sequence[UserId]) -> Sequence[Profile]:
        return [profile for profile in self._profiles.values() if profile.user_id in user_ids]

    async def page(self, handle_prefix: str, after: str, limit: int) -> Sequence[Profile]:
        found = [p for p in self._profiles.values() if p.user_id > after and p.handle.startswith(handle_prefix)]
        return sorted(found, key=lambda profile: profile.user_id)[:limit]

    async def preferences(self, user_id: UserId) -> Preferences | None:
        return self._preferences.get(user_id)

    async def create(self, profile: Profile, preferences: Preferences) -> None:
        if profile.user_id not in self._profiles:
            self._profiles[profile.user_id] = profile
            self._preferences[profile.user_id] = preferences

    async def settle(self, user_id: UserId, organisation_id: OrganisationId) -> None:
        self._profiles[user_id] = replace(self._profiles[user_id], organisation_id=organisation_id)
        self._preferences[user_id] = replace(self._preferences[user_id], organisation_id=organisation_id)

    async def save_profile(self, profile: Profile, event: ProfileUpdated) -> None:
        old = self._profiles.get(profile.user_id)
        if old is None or old.version != profile.version - 1:
            raise StaleProfile
        others = (other.handle for other in self._profiles.values() if other.user_id != profile.user_id)
        if profile.handle and profile.handle in others:
            raise HandleTaken
        self._profiles[profile.user_id] = profile
        self.events.append((profile.version, event))

    async def save_preferences(self, preferences: Preferences, event: PreferencesUpdated) -> None:
        old = self._preferences.get(preferences.user_id)
        if old is None or old.version != preferences.version - 1:
            raise StalePreferences
        self._preferences[preferences.user_id] = preferences
        self.events.append((preferences.version, event))
