"""Whether a delivery may go out now: what its person wants, at what hour, and how much they have had already."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, time, timedelta

from services.notifications.domain.deliveries import Delivery, Outcome, Reason, State, Store
from services.notifications.domain.kinds import KINDS, Category, Kind
from services.notifications.domain.preferences import Channel, Preferences, PreferencesStore
from services.notifications.domain.quiet import next_time

DIGEST_AT = time(8)
"""By the clock of their time zone."""
TOLD_MOST = 5
"""Mails or pushes of one category to one person in the window; what is more joins the digest."""
TOLD_WINDOW = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """`told`: how many of the category have gone out to them by this way in the window."""

    kind: Kind
    channel: Channel
    preferences: Preferences
    zone: str
    now: datetime
    told: int = 0
    undeliverable: bool = False


def verdict(case: Case) -> Outcome | None:
    """What keeps a delivery from going out now, or None. Nothing keeps what is about security."""
    if case.kind.category is Category.SECURITY:
        return None
    if not case.preferences.choice(case.kind.category).open(case.channel):
        return Outcome(State.WITHHELD, Reason.PREFERENCE_OFF)
    if case.undeliverable:
        return Outcome(State.WITHHELD, Reason.SUPPRESSED)
    return _later(case)


def _later(case: Case) -> Outcome | None:
    """In-app is silent: whoever looks there wants to see it."""
    if case.channel is Channel.IN_APP:
        return None
    if case.told >= TOLD_MOST and case.channel is Channel.PUSH:
        return Outcome(State.WITHHELD, Reason.THROTTLED)
    if case.channel is Channel.MAIL and not case.kind.digest:
        if case.preferences.choice(case.kind.category).daily:
            return _collected(case, Reason.DIGEST)
        if case.told >= TOLD_MOST:
            return _collected(case, Reason.THROTTLED)
    quiet = case.preferences.quiet
    until = quiet.until(case.now, case.zone) if quiet else None
    return Outcome(State.WAITING, Reason.QUIET, until) if until else None


def _collected(case: Case, reason: Reason) -> Outcome:
    at = next_time(case.now, DIGEST_AT, case.zone)
    return Outcome(State.WAITING, reason, at, digest=f"{case.kind.category}_digest")


@dataclass(frozen=True)
class Judging:
    """Looks up what a verdict needs."""

    store: Store
    preferences: PreferencesStore
    now: Callable[[], datetime]

    async def verdict(self, delivery: Delivery, kind: Kind, zone: str, recipient: str = "") -> Outcome | None:
        """What keeps a delivery from going out now. `recipient`: the address as the store knows it, of a mail."""
        if kind.category is Category.SECURITY:
            return None
        now, alike = self.now(), {kind.name, *(one.name for one in KINDS.values() if one.category is kind.category)}
        case = Case(
            kind=kind,
            channel=Channel(delivery.channel),
            preferences=await self.preferences.preferences(delivery.user_id),
            zone=zone,
            now=now,
            told=await self.store.told(delivery, sorted(alike), now - TOLD_WINDOW),
            undeliverable=bool(recipient) and await self.store.suppressed(recipient),
        )
        return verdict(case)
