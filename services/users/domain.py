"""Profiles and preferences: what they are, their rules, the use cases and the store these need."""

from __future__ import annotations

import enum
import importlib.resources
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any, ClassVar, Protocol, Self, TypeVar

from mesh.model import (
    AlreadyExists,
    Caller,
    Conflict,
    Event,
    Invalid,
    NotFound,
    OrganisationId,
    User,
    UserId,
    Violation,
    require,
)

DEFAULT_LOCALE = "en"
DEFAULT_TIME_ZONE = "UTC"
DEFAULT_PAGE = 50
LARGEST_PAGE = 200
ATTEMPTS = 5
"""How often a change without an etag is tried when others keep coming first."""
TIME_ZONES = frozenset(importlib.resources.files("tzdata").joinpath("zones").read_text().split())
"""From the lock, so that every machine knows the same ones."""

T = TypeVar("T")


class ProfileNotFound(NotFound):
    """There is no such profile."""


class StaleProfile(Conflict):
    """The profile has changed since you read it; read it again and re-apply your change."""


class StalePreferences(Conflict):
    """The preferences have changed since you read them; read them again and re-apply your change."""


class HandleTaken(AlreadyExists):
    """Somebody else has this handle; choose another."""


class UnknownTimeZone(Invalid):
    """The IANA database has no such time zone."""


class Theme(enum.StrEnum):
    """Colours of the user interface; `DEVICE`: as the device says."""

    DEVICE = "device"
    LIGHT = "light"
    DARK = "dark"


class WeekStart(enum.StrEnum):
    """First day of the week; `LOCALE`: as is usual for the locale."""

    LOCALE = "locale"
    MONDAY = "monday"
    SATURDAY = "saturday"
    SUNDAY = "sunday"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileChange:
    """New values for a profile. None leaves a field as it is, an empty one returns it to its default.

    `etag`: change only that version of the profile; empty for any.
    """

    etag: str = ""
    display_name: str | None = None
    handle: str | None = None
    locale: str | None = None
    time_zone: str | None = None
    avatar_url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PreferencesChange:
    """New values for preferences; None leaves a field as it is. `etag` as in `ProfileChange`."""

    etag: str = ""
    theme: Theme | None = None
    product_news: bool | None = None
    week_start: WeekStart | None = None


@dataclass(frozen=True, slots=True)
class PublicProfile:
    """What everybody who is signed in may know of a person."""

    user_id: UserId
    display_name: str
    handle: str
    avatar_url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Owned:
    """What one person may change. `version` counts the changes."""

    user_id: UserId
    organisation_id: OrganisationId
    update_time: datetime
    version: int = 0

    @property
    def etag(self) -> str:
        """Names this version (AIP-154)."""
        return str(self.version)

    def next(self, values: Mapping[str, Any], now: datetime) -> Self:
        """The next version, with `values`, or this one if they make no difference."""
        new = replace(self, **values)
        return self if new == self else replace(new, version=self.version + 1, update_time=now)


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile(Owned):
    """What a person says about themselves."""

    create_time: datetime
    display_name: str = ""
    handle: str = ""
    locale: str = DEFAULT_LOCALE
    time_zone: str = DEFAULT_TIME_ZONE
    avatar_url: str = ""

    @property
    def public(self) -> PublicProfile:
        """The part that others may read."""
        return PublicProfile(self.user_id, self.display_name, self.handle, self.avatar_url)

    def changed(self, change: ProfileChange, now: datetime) -> Self:
        """The profile after `change`. Raises: StaleProfile; UnknownTimeZone."""
        require(change.etag in ("", self.etag), StaleProfile)
        defaults = {"locale": DEFAULT_LOCALE, "time_zone": DEFAULT_TIME_ZONE}
        new = self.next({name: value or defaults.get(name, value) for name, value in _given(change)}, now)
        if new.time_zone != self.time_zone and new.time_zone not in TIME_ZONES:
            raise UnknownTimeZone(violations=(Violation("profile.time_zone", "must be in the IANA database"),))
        return new


@dataclass(frozen=True, slots=True, kw_only=True)
class Preferences(Owned):
    """How a person wants to be treated."""

    theme: Theme = Theme.DEVICE
    product_news: bool = False
    week_start: WeekStart = WeekStart.LOCALE

    def changed(self, change: PreferencesChange, now: datetime) -> Self:
        """The preferences after `change`. Raises: StalePreferences."""
        require(change.etag in ("", self.etag), StalePreferences)
        return self.next(dict(_given(change)), now)


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed(Event):
    """Somebody changed what is theirs; `fields` are the names of what differs."""

    user_id: UserId
    fields: tuple[str, ...]

    @classmethod
    def of(cls, caller: Caller, old: Owned, new: Owned) -> Self:
        """The event of the step from one version to the next."""
        names = (field.name for field in fields(old) if field.name not in ("version", "update_time"))
        differing = tuple(name for name in names if getattr(old, name) != getattr(new, name))
        return cls.by(caller, new.user_id, new.organisation_id, user_id=new.user_id, fields=differing)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileUpdated(Changed):
    """A profile was changed by its owner."""

    type: ClassVar[str] = "tulle.users.v1.ProfileUpdated"
    resource: ClassVar[str] = "profile"


@dataclass(frozen=True, slots=True, kw_only=True)
class PreferencesUpdated(Changed):
    """Preferences were changed by their owner."""

    type: ClassVar[str] = "tulle.users.v1.PreferencesUpdated"
    resource: ClassVar[str] = "preferences"


@dataclass(frozen=True, slots=True)
class Page:
    """Profiles in the order in which people joined; `after` asks for the next page, empty on the last."""

    profiles: tuple[Profile, ...]
    after: str


class Store(Protocol):
    """Where profiles and preferences are kept. tests/contract/users says what each method promises."""

    async def profile(self, user_id: UserId) -> Profile | None:
        """The profile, if there is one."""

    async def profiles(self, user_ids: Sequence[UserId]) -> Sequence[Profile]:
        """Those profiles that exist, in any order."""

    async def page(self, handle_prefix: str, after: str, limit: int) -> Sequence[Profile]:
        """At most `limit` profiles whose ids come after `after`, by id; with a prefix, only such handles."""

    async def preferences(self, user_id: UserId) -> Preferences | None:
        """The preferences, if there are any."""

    async def create(self, profile: Profile, preferences: Preferences) -> None:
        """Keep a newcomer's profile and preferences, unless there are some already."""

    async def settle(self, user_id: UserId, organisation_id: OrganisationId) -> None:
        """Let what a person has belong to that organisation."""

    async def save_profile(self, profile: Profile, event: ProfileUpdated) -> None:
        """Replace the version before `profile` and announce it, both or neither.

        Raises: StaleProfile if another version is stored; HandleTaken.
        """

    async def save_preferences(self, preferences: Preferences, event: PreferencesUpdated) -> None:
        """Replace the version before `preferences` and announce it, both or neither.

        Raises: StalePreferences if another version is stored.
        """


class Users:
    """The use cases, whoever calls them."""

    def __init__(self, store: Store, now: Callable[[], datetime]) -> None:
        self.store = store
        self.now = now

    async def welcome(self, user_id: UserId, organisation_id: OrganisationId) -> None:
        """Make the profile and preferences of a new account; asked again, nothing happens."""
        now = self.now()
        await self.store.create(
            Profile(user_id=user_id, organisation_id=organisation_id, create_time=now, update_time=now),
            Preferences(user_id=user_id, organisation_id=organisation_id, update_time=now),
        )

    async def settle(self, user_id: UserId, organisation_id: OrganisationId) -> None:
        """The same for an account that is announced, whose personal organisation this is.

        Who was here before the event may have had a token for another organisation (ADR 19).
        """
        await self.welcome(user_id, organisation_id)
        await self.store.settle(user_id, organisation_id)

    async def profile(self, caller: Caller, user_id: str) -> Profile | PublicProfile:
        """Your own profile (also for an empty id), or the public part of another's.

        Raises: ProfileNotFound.
        """
        if user_id in ("", caller.signed_in.user_id):
            return await self._own(self.store.profile, caller.signed_in)
        profile = await self.store.profile(UserId(user_id))
        if profile is None:
            raise ProfileNotFound
        return profile.public

    async def update_profile(self, caller: Caller, change: ProfileChange) -> Profile:
        """Apply `change` to your own profile and announce it.

        Raises: StaleProfile if `change.etag` is old; HandleTaken; UnknownTimeZone.
        """

        async def attempt() -> Profile:
            old = await self._own(self.store.profile, caller.signed_in)
            new = old.changed(change, self.now())
            if new is not old:
                await self.store.save_profile(new, ProfileUpdated.of(caller, old, new))
            return new

        return await _overtaking(attempt, change.etag)

    async def preferences(self, caller: Caller) -> Preferences:
        """Your own preferences."""
        return await self._own(self.store.preferences, caller.signed_in)

    async def update_preferences(self, caller: Caller, change: PreferencesChange) -> Preferences:
        """Apply `change` to your own preferences and announce it.

        Raises: StalePreferences if `change.etag` is old.
        """

        async def attempt() -> Preferences:
            old = await self._own(self.store.preferences, caller.signed_in)
            new = old.changed(change, self.now())
            if new is not old:
                await self.store.save_preferences(new, PreferencesUpdated.of(caller, old, new))
            return new

        return await _overtaking(attempt, change.etag)

    async def batch(self, user_ids: Sequence[UserId]) -> tuple[Profile, ...]:
        """Whole profiles in the order of `user_ids`, each once, without those that do not exist."""
        found = {profile.user_id: profile for profile in await self.store.profiles(user_ids)}
        return tuple(found[user_id] for user_id in dict.fromkeys(user_ids) if user_id in found)

    async def list_users(self, handle_prefix: str, after: str, size: int) -> Page:
        """A page of at most `size` whole profiles (0: the usual size), by the time of joining."""
        size = min(size or DEFAULT_PAGE, LARGEST_PAGE)
        found = tuple(await self.store.page(handle_prefix, after, size + 1))
        return Page(found[:size], found[size - 1].user_id if len(found) > size else "")

    async def _own(self, read: Callable[[UserId], Awaitable[T | None]], user: User) -> T:
        """What `read` finds for `user`, made first if need be.

        A person may be here before the event that announces them: their token says as much as
        the event will, and whichever comes second finds the work done.
        """
        if (found := await read(user.user_id)) is None:
            await self.welcome(user.user_id, user.organisation_id)
            found = await read(user.user_id)
        assert found is not None
        return found


def _given(change: ProfileChange | PreferencesChange) -> Iterator[tuple[str, Any]]:
    values = ((field.name, getattr(change, field.name)) for field in fields(change) if field.name != "etag")
    return ((name, value) for name, value in values if value is not None)


async def _overtaking(attempt: Callable[[], Awaitable[T]], etag: str) -> T:
    """Run `attempt`, and again when somebody came first, unless the caller asked with an etag to be told."""
    for _ in range(0 if etag else ATTEMPTS - 1):
        try:
            return await attempt()
        except Conflict:
            continue
    return await attempt()
