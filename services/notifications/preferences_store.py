"""Preferences in PostgreSQL: each method is one statement of preferences.sql."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from infra.postgres import Database, queries
from mesh.model import UserId, require
from services.notifications.domain.kinds import Category
from services.notifications.domain.preferences import Choice, Preferences, StalePreferences
from services.notifications.domain.quiet import QuietHours

sql = queries(Path(__file__).with_name("preferences.sql"))


class PostgresPreferences:
    """A `services.notifications.domain.preferences.PreferencesStore`."""

    def __init__(self, database: Database) -> None:
        self.database = database

    async def preferences(self, user_id: UserId) -> Preferences:
        async with self.database.connection() as connection:
            found = await sql.get_preferences(connection, user_id=user_id)
        return _preferences(found) if found else Preferences(user_id=user_id)

    async def save_preferences(self, preferences: Preferences) -> None:
        quiet = preferences.quiet
        async with self.database.connection() as connection:
            saved = await sql.save_preferences(
                connection,
                user_id=preferences.user_id,
                choices=json.dumps({category: asdict(choice) for category, choice in preferences.choices.items()}),
                quiet_start=quiet and quiet.start,
                quiet_end=quiet and quiet.end,
                version=preferences.version,
                update_time=preferences.update_time,
            )
        require(saved, StalePreferences)


def _preferences(found: Mapping[str, Any]) -> Preferences:
    choices = json.loads(found["choices"])
    return Preferences(
        user_id=UserId(found["user_id"]),
        choices={Category(name): Choice(**choice) for name, choice in choices.items()},
        quiet=QuietHours(found["quiet_start"], found["quiet_end"]) if found["quiet_start"] is not None else None,
        version=found["version"],
        update_time=found["update_time"],
    )
