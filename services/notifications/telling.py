"""Tells somebody something in the app and on their browsers, as far as they want that, and writes down whether."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from mesh.model import EMPTY, UserId, new_id
from services.notifications.domain.deliveries import Delivery, Outcome, Reason, State, Store
from services.notifications.domain.kinds import kind_of
from services.notifications.domain.preferences import Channel, PreferencesStore
from services.notifications.domain.pushing import INBOX_NUMBER
from services.notifications.inbox.domain import Inbox


@dataclass(frozen=True)
class Telling:
    """Part of the ambient transaction: what is told stands or falls with whatever else that does."""

    store: Store
    inbox: Inbox
    preferences: PreferencesStore
    now: Callable[[], datetime]

    async def tell(self, event_id: str, user_id: UserId, kind: str, variables: Mapping[str, str] = EMPTY) -> None:
        """`kind`: one with a text in the inbox. The same event tells nobody twice, also when it comes anew."""
        number = await self._in_app(event_id, user_id, kind, variables)
        push = self._delivery(Channel.PUSH, event_id, user_id, kind, {**variables, INBOX_NUMBER: str(number)})
        await self.store.add(push)

    async def _in_app(self, event_id: str, user_id: UserId, kind: str, variables: Mapping[str, str]) -> int:
        """The message's number in the inbox; 0 if there is none."""
        delivery = self._delivery(Channel.IN_APP, event_id, user_id, kind, variables)
        if not await self.store.add(delivery):
            return 0
        choice = (await self.preferences.preferences(user_id)).choice(kind_of(kind).category)
        if not choice.open(Channel.IN_APP):
            off = Outcome(State.WITHHELD, Reason.PREFERENCE_OFF)
            await self.store.settle(delivery, off, self.now())
            return 0
        await self.store.settle(delivery, Outcome(State.SENT), self.now())
        return await self.inbox.tell(user_id, kind, variables)

    def _delivery(
        self, channel: Channel, event_id: str, user_id: UserId, kind: str, variables: Mapping[str, str]
    ) -> Delivery:
        now = self.now()
        return Delivery(
            delivery_id=new_id("delivery", now.timestamp()),
            event_id=event_id,
            channel=channel,
            kind=kind,
            user_id=user_id,
            variables=variables,
            repeatable=False,
            create_time=now,
            not_before=now,
        )
