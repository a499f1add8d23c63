"""An inbox: messages to one person, numbered from 1 without a gap, read or not, kept for a time.

The number is all that a reader needs to go on after a lost connection: numbers become visible in their
order, since whoever adds a message holds the person's row until it is committed.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from mesh.model import EMPTY, Caller, UserId
from services.notifications.domain.languages import nearest

DEFAULT_PAGE = 50
LARGEST_PAGE = 200
MESSAGES_MOST = 1000
"""Of one person; the oldest goes when another comes."""


@dataclass(frozen=True)
class Text:
    """What a kind of message says; `{name}` is a variable of the message."""

    title: str
    body: str


TEXTS: Mapping[str, Mapping[str, Text]] = {
    "welcome": {
        "en": Text("Welcome", "Your account is ready."),
        "de": Text("Willkommen", "Das Konto ist bereit."),
        "pt": Text("Boas-vindas", "A conta está pronta."),
    },
    "invoice_paid": {
        "en": Text("Invoice paid", "Invoice {number} is paid. Thank you."),
        "de": Text("Rechnung bezahlt", "Rechnung {number} ist bezahlt. Vielen Dank."),
        "pt": Text("Fatura paga", "A fatura {number} está paga. Obrigado."),
    },
    "payment_failed": {
        "en": Text("Payment failed", "A payment did not go through. Please look at your payment method."),
        "de": Text("Zahlung fehlgeschlagen", "Eine Zahlung ist fehlgeschlagen. Bitte die Zahlungsart prüfen."),
        "pt": Text("Pagamento falhado", "Um pagamento falhou. É preciso verificar o método de pagamento."),
    },
}
"""By kind and language. A kind stays here for as long as messages of it are kept."""


def words(kind: str, variables: Mapping[str, str], locale: str = "") -> tuple[str, str]:
    """Title and body in the nearest language.

    Of a kind that a newer release has told, or without what its text needs: its name.
    """
    if texts := TEXTS.get(kind):
        text = texts[nearest(locale, texts)]
        with contextlib.suppress(KeyError):
            return text.title.format_map(variables), text.body.format_map(variables)
    return kind.replace("_", " ").capitalize(), ""


@dataclass(frozen=True)
class Message:
    """What somebody was told. Its words are made when it is read, from its kind and variables."""

    number: int
    kind: str
    variables: Mapping[str, str]
    create_time: datetime
    read_time: datetime | None = None

    def words(self, locale: str = "") -> tuple[str, str]:
        """Title, one line, and body, which may be empty, for a reader of this locale."""
        return words(self.kind, self.variables, locale)


@dataclass(frozen=True)
class State:
    """An inbox as it stands. `number`: of the newest message; `version`: counts all changes."""

    number: int = 0
    version: int = 0
    unread: int = 0


@dataclass(frozen=True)
class News:
    """What a watcher hears: a message, or that something else has changed. `number`: go on after this one."""

    number: int
    unread: int
    message: Message | None = None


@dataclass(frozen=True)
class Page:
    """Messages, newest first. `before`: where the next page begins; 0 when there is none."""

    messages: Sequence[Message]
    before: int


class Store(Protocol):
    """Where inboxes are kept."""

    async def add(self, user_id: UserId, kind: str, variables: Mapping[str, str], now: datetime, most: int) -> int:
        """Add a message, in the ambient transaction if there is one, and keep the newest `most`; its number."""

    async def page(self, user_id: UserId, before: int, limit: int, *, unread_only: bool) -> Sequence[Message]:
        """The newest messages with a number below `before` (0: any), newest first."""

    async def after(self, user_id: UserId, number: int, limit: int) -> Sequence[Message]:
        """The oldest messages with a number above `number`, oldest first."""

    async def state(self, user_id: UserId) -> State:
        """How the inbox stands; a new one's if there is none."""

    async def versions(self, user_ids: Collection[UserId]) -> Mapping[UserId, int]:
        """The versions of those inboxes that there are."""

    async def mark_read(self, user_id: UserId, numbers: Sequence[int], up_to: int, now: datetime) -> int:
        """Mark these, and all up to `up_to`; how many were unread."""


class Locales(Protocol):
    """Who reads which language."""

    async def locale(self, user_id: UserId) -> str:
        """As somebody's profile says; empty if that is not known now."""


class Bell(Protocol):
    """Rings when an inbox may have changed."""

    def listen(self) -> None:
        """Forget what rang before: what is read from now on is newer than that."""

    async def rung(self) -> None:
        """Wait until it has rung since `listen`."""


Bells = Callable[[UserId], AbstractContextManager[Bell]]


class Inbox:
    """The use cases. Everybody has an inbox and sees no other."""

    def __init__(self, store: Store, bells: Bells, now: Callable[[], datetime]) -> None:
        self.store, self._bells, self._now = store, bells, now

    async def tell(self, user_id: UserId, kind: str, variables: Mapping[str, str] = EMPTY) -> int:
        """Put a message into somebody's inbox, with whatever else the ambient transaction does; its number."""
        return await self.store.add(user_id, kind, variables, self._now(), MESSAGES_MOST)

    async def messages(self, caller: Caller, before: int, size: int, *, unread_only: bool) -> Page:
        """A page of at most `size` messages (0: the usual size)."""
        size = min(size or DEFAULT_PAGE, LARGEST_PAGE)
        found = await self.store.page(caller.signed_in.user_id, before, size + 1, unread_only=unread_only)
        return Page(found[:size], found[size - 1].number if len(found) > size else 0)

    async def state(self, caller: Caller) -> State:
        """How many are unread, and the newest's number."""
        return await self.store.state(caller.signed_in.user_id)

    async def mark_read(self, caller: Caller, numbers: Sequence[int], up_to: int) -> State:
        """Mark messages as read; those that are, or are no more, do no harm."""
        await self.store.mark_read(caller.signed_in.user_id, numbers, up_to, self._now())
        return await self.state(caller)

    async def watch(self, caller: Caller, after: int | None) -> AsyncIterator[News]:
        """Each message after the one numbered `after` (None: from now on) once and in order, then what comes.

        The first word comes at once, and says where to go on.
        """
        user_id = caller.signed_in.user_id
        with self._bells(user_id) as bell:
            state = await self.store.state(user_id)
            at = state.number if after is None else min(after, state.number)
            yield News(at, state.unread)
            while True:
                while messages := await self.store.after(user_id, at, DEFAULT_PAGE):
                    for message in messages:
                        at = message.number
                        yield News(at, state.unread, message)
                before, state = state, await self._changed(user_id, state, bell)
                # No message will say so: there is none, or it was told before it was counted.
                if state.number in (before.number, at):
                    yield News(at, state.unread)

    async def _changed(self, user_id: UserId, known: State, bell: Bell) -> State:
        while True:
            bell.listen()
            if (state := await self.store.state(user_id)).version != known.version:
                return state
            await bell.rung()
