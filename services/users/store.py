"""Profiles and preferences in PostgreSQL: each method is one statement of queries.sql."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import asyncpg

from infra.events.outbox import row
from infra.postgres import Database, queries
from mesh.model import OrganisationId, UserId, require
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

sql = queries(Path(__file__).with_name("queries.sql"))


class PostgresStore:
    """A `services.users.domain.Store`."""

    def __init__(self, database: Database) -> None:
        self.database = database

    async def profile(self, user_id: UserId) -> Profile | None:
        async with self.database.connection() as connection:
            found = await sql.get_profile(connection, user_id=user_id)
        return Profile(**found) if found else None

    async def profiles(self, user_ids: Sequence[UserId]) -> Sequence[Profile]:
        async with self.database.connection() as connection:
            return [Profile(**found) async for found in sql.get_profiles(connection, user_ids=user_ids)]

    async def page(self, handle_prefix: str, after: str, limit: int) -> Sequence[Profile]:
        query = sql.page_of_handles if handle_prefix else sql.page_of_profiles
        prefix = {"prefix": handle_prefix} if handle_prefix else {}
        async with self.database.connection() as connection:
            return [Profile(**found) async for found in query(connection, after=after, limit=limit, **prefix)]

    async def preferences(self, user_id: UserId) -> Preferences | None:
        async with self.database.connection() as connection:
            found = await sql.get_preferences(connection, user_id=user_id)
        return _preferences(found) if found else None

    async def create(self, profile: Profile, preferences: Preferences) -> None:
        async with self.database.connection() as connection:
            await sql.create_person(connection, **asdict(preferences) | asdict(profile))

    async def settle(self, user_id: UserId, organisation_id: OrganisationId) -> None:
        async with self.database.connection() as connection:
            await sql.settle(connection, user_id=user_id, organisation_id=organisation_id)

    async def save_profile(self, profile: Profile, event: ProfileUpdated) -> None:
        async with self.database.connection() as connection:
            try:
                saved = await sql.save_profile(connection, event=row(event), **asdict(profile))
            except asyncpg.UniqueViolationError as error:
                require(error.constraint_name != "profiles_handle", HandleTaken)
                raise
        require(saved, StaleProfile)

    async def save_preferences(self, preferences: Preferences, event: PreferencesUpdated) -> None:
        async with self.database.connection() as connection:
            saved = await sql.save_preferences(connection, event=row(event), **asdict(preferences))
        require(saved, StalePreferences)


def _preferences(found: Mapping[str, Any]) -> Preferences:
    values = {**found, "theme": Theme(found["theme"]), "week_start": WeekStart(found["week_start"])}
    return Preferences(**values)
