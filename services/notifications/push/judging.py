"""Whether a push may go out now: the rules of all that people are told, for this way of telling."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

from mesh.model import UserId
from services.notifications.domain.judging import TOLD_WINDOW, Case, verdict
from services.notifications.domain.kinds import KINDS, Category, Kind
from services.notifications.domain.preferences import Channel, PreferencesStore
from services.notifications.push.domain import Outcome, Push, State, Store


@dataclass(frozen=True)
class Judge:
    """`zone`: where somebody lives; asked for only if they have quiet hours. Raises: Unavailable."""

    store: Store
    preferences: PreferencesStore
    zone: Callable[[UserId], Awaitable[str]]
    now: Callable[[], datetime]

    async def __call__(self, push: Push) -> Outcome | None:
        kind, user_id = KINDS.get(push.kind, Kind(push.kind, Category.PRODUCT)), push.endpoint.user_id
        if kind.category is Category.SECURITY:
            return None
        preferences, now = await self.preferences.preferences(user_id), self.now()
        alike = [one.name for one in KINDS.values() if one.category is kind.category] + [push.kind]
        case = Case(
            kind=kind,
            channel=Channel.PUSH,
            preferences=preferences,
            zone=await self.zone(user_id) if preferences.quiet else "",
            now=now,
            told=await self.store.told(push.endpoint.endpoint_id, alike, now - TOLD_WINDOW),
        )
        held = verdict(case)
        return Outcome(State(held.state), held.reason.lower(), held.not_before) if held else None
