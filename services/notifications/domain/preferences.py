"""What people want to be told, by which way and when. Security is not asked about: it always goes out."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from typing import Protocol, Self

from mesh.model import Conflict, Invalid, UserId, Violation, require
from services.notifications.domain.kinds import Category
from services.notifications.domain.quiet import QuietHours

ATTEMPTS = 5
"""How often a change without an etag is tried when others keep coming first."""


class StalePreferences(Conflict):
    """The preferences have changed since you read them; read them again and re-apply your change."""


class EmptyQuietHours(Invalid):
    """Quiet hours that begin when they end would be none or all; name two different times, or leave them out."""


class Channel(enum.StrEnum):
    """A way to tell somebody something."""

    MAIL = "mail"
    PUSH = "push"
    IN_APP = "in_app"


@dataclass(frozen=True, slots=True)
class Choice:
    """For one category: which ways are open, and whether its mails come together once a day."""

    mail: bool = True
    push: bool = True
    in_app: bool = True
    daily: bool = False

    def open(self, channel: Channel) -> bool:
        """Whether this way is."""
        return {Channel.MAIL: self.mail, Channel.PUSH: self.push, Channel.IN_APP: self.in_app}[channel]


DEFAULTS: Mapping[Category, Choice] = {
    Category.SECURITY: Choice(),
    Category.BILLING: Choice(),
    Category.PRODUCT: Choice(mail=False, push=False),
    Category.CONTENT: Choice(),
}
"""News about the product go to those who ask for them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChoiceChange:
    """New values of one category's choice; None leaves one as it is."""

    mail: bool | None = None
    push: bool | None = None
    in_app: bool | None = None
    daily: bool | None = None

    def of(self, old: Choice) -> Choice:
        """The choice after it."""
        given = {each.name: getattr(self, each.name) for each in fields(self)}
        return replace(old, **{name: value for name, value in given.items() if value is not None})


@dataclass(frozen=True, slots=True, kw_only=True)
class PreferencesChange:
    """`choices`: what differs from before, None for back to the default. `quiet`: a pair of one, None for none.

    `etag`: change only that version; empty for any.
    """

    etag: str = ""
    choices: Mapping[Category, ChoiceChange | None] = field(default_factory=dict)
    quiet: tuple[QuietHours | None] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Preferences:
    """One person's; `choices` holds only what they have said. `version` counts the changes."""

    user_id: UserId
    choices: Mapping[Category, Choice] = field(default_factory=dict)
    quiet: QuietHours | None = None
    version: int = 0
    update_time: datetime | None = None

    @property
    def etag(self) -> str:
        """Names this version (AIP-154)."""
        return str(self.version)

    def choice(self, category: Category) -> Choice:
        """What they said of it, else the default."""
        return DEFAULTS[category] if category is Category.SECURITY else self.choices.get(category, DEFAULTS[category])

    def changed(self, change: PreferencesChange, now: datetime) -> Self:
        """After `change`. Raises: StalePreferences; EmptyQuietHours."""
        require(change.etag in ("", self.etag), StalePreferences)
        quiet = self.quiet if change.quiet is None else change.quiet[0]
        if quiet is not None and quiet.start == quiet.end:
            where = Violation("preferences.quiet_hours.end", "must not be the same as `start`")
            raise EmptyQuietHours(violations=(where,))
        new = replace(self, quiet=quiet, choices=self._chosen(change.choices))
        return self if new.said() == self.said() else replace(new, version=self.version + 1, update_time=now)

    def said(self) -> tuple[object, ...]:
        """All that can be changed. Saying the default is saying nothing new: what was read can be sent back."""
        return (self.quiet, *map(self.choice, Category))

    def _chosen(self, changes: Mapping[Category, ChoiceChange | None]) -> dict[Category, Choice]:
        new = dict(self.choices)
        for category, change in changes.items():
            if change is None:
                new.pop(category, None)
            else:
                new[category] = change.of(self.choice(category))
        return new


class PreferencesStore(Protocol):
    """Where preferences are kept. tests/contract/notifications says what each method promises."""

    async def preferences(self, user_id: UserId) -> Preferences:
        """A person's; the defaults, in version 0, of whoever has said nothing."""

    async def save_preferences(self, preferences: Preferences) -> None:
        """Replace the version before. Raises: StalePreferences if another is stored."""


@dataclass(frozen=True)
class Choosing:
    """The use cases of people who say what they want."""

    store: PreferencesStore
    now: Callable[[], datetime]

    async def preferences(self, user_id: UserId) -> Preferences:
        """What a person wants."""
        return await self.store.preferences(user_id)

    async def update(self, user_id: UserId, change: PreferencesChange) -> Preferences:
        """Apply a change. Raises: StalePreferences if its etag is old; EmptyQuietHours."""
        for _ in range(0 if change.etag else ATTEMPTS - 1):
            try:
                return await self._once(user_id, change)
            except Conflict:
                continue
        return await self._once(user_id, change)

    async def unsubscribe(self, user_id: UserId, category: Category) -> None:
        """No more mails of a category, whatever was said before."""
        await self.update(user_id, PreferencesChange(choices={category: ChoiceChange(mail=False)}))

    async def _once(self, user_id: UserId, change: PreferencesChange) -> Preferences:
        old = await self.store.preferences(user_id)
        new = old.changed(change, self.now())
        if new is not old:
            await self.store.save_preferences(new)
        return new
