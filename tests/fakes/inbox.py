"""Inboxes in memory; pass the contract suite of the real store."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from mesh.model import UserId
from services.notifications.inbox.domain import Message, State


class FakeInboxes:
    """A `services.notifications.inbox.domain.Store`."""

    def __init__(self) -> None:
        self._messages: defaultdict[UserId, dict[int, Message]] = defaultdict(dict)
        self._states: dict[UserId, State] = {}

    async def add(self, user_id: UserId, kind: str, variables: Mapping[str, str], now: datetime, most: int) -> int:
        state = self._states.get(user_id, State())
        number = state.number + 1
        self._states[user_id] = State(number, state.version + 1)
        mine = self._messages[user_id]
        mine[number] = Message(number, kind, dict(variables), now)
        self._messages[user_id] = {one: message for one, message in mine.items() if one > number - most}
        return number

    async def page(self, user_id: UserId, before: int, limit: int, *, unread_only: bool) -> Sequence[Message]:
        mine = [message for number, message in self._messages[user_id].items() if not before or number < before]
        return [one for one in reversed(mine) if not (unread_only and one.read_time)][:limit]

    async def after(self, user_id: UserId, number: int, limit: int) -> Sequence[Message]:
        return [message for one, message in self._messages[user_id].items() if one > number][:limit]

    async def state(self, user_id: UserId) -> State:
        unread = [one for one in self._messages[user_id].values() if not one.read_time]
        return replace(self._states.get(user_id, State()), unread=len(unread))

    async def versions(self, user_ids: Collection[UserId]) -> Mapping[UserId, int]:
        return {user_id: self._states[user_id].version for user_id in user_ids if user_id in self._states}

    async def mark_read(self, user_id: UserId, numbers: Sequence[int], up_to: int, now: datetime) -> int:
        mine = self._messages[user_id]
        marked = [one for one in mine.values() if not one.read_time and (one.number in numbers or one.number <= up_to)]
        mine.update({one.number: replace(one, read_time=now) for one in marked})
        if marked:
            state = self._states[user_id]
            self._states[user_id] = replace(state, version=state.version + 1)
        return len(marked)
