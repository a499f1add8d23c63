"""Tells somebody something in the app and on their browsers, as far as they want that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mesh.model import EMPTY, UserId
from services.notifications.domain.kinds import KINDS, Category
from services.notifications.domain.preferences import Channel, PreferencesStore
from services.notifications.inbox.domain import Inbox
from services.notifications.push.domain import Pushes


@dataclass(frozen=True)
class Telling:
    """Part of the ambient transaction: what is told stands or falls with whatever else that does."""

    inbox: Inbox
    pushes: Pushes
    preferences: PreferencesStore

    async def tell(self, user_id: UserId, kind: str, variables: Mapping[str, str] = EMPTY) -> None:
        """`kind`: one with a text in the inbox. Kinds that no mail has are news about the product."""
        category = KINDS[kind].category if kind in KINDS else Category.PRODUCT
        choice = (await self.preferences.preferences(user_id)).choice(category)
        number = await self.inbox.tell(user_id, kind, variables) if choice.open(Channel.IN_APP) else 0
        if choice.open(Channel.PUSH):
            await self.pushes.tell(user_id, kind, variables, number)
