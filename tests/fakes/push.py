"""Endpoints and pushes in memory; pass the contract suite of the real store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from mesh.model import UserId, new_id, require
from services.notifications.push.domain import Endpoint, EndpointTaken, Outcome, Push, State, TooManyEndpoints


@dataclass
class _Kept:
    push: Push
    state: State
    due: datetime


class FakePushes:
    """A `services.notifications.push.domain.Store`."""

    def __init__(self) -> None:
        self._endpoints: dict[str, Endpoint] = {}
        self._pushes: dict[str, _Kept] = {}

    async def register(self, endpoint: Endpoint, most: int) -> Endpoint:
        mine = await self.endpoints(endpoint.user_id)
        require(len([one for one in mine if one.url != endpoint.url]) < most, TooManyEndpoints)
        same = next((one for one in self._endpoints.values() if one.url == endpoint.url), None)
        require(same is None or same.user_id == endpoint.user_id, EndpointTaken)
        kept = replace(same, keys=endpoint.keys) if same else endpoint
        self._endpoints[kept.endpoint_id] = kept
        return kept

    async def endpoints(self, user_id: UserId) -> Sequence[Endpoint]:
        mine = [one for one in self._endpoints.values() if one.user_id == user_id]
        return sorted(mine, key=lambda one: one.endpoint_id)

    async def remove(self, user_id: UserId, endpoint_id: str) -> bool:
        found = self._endpoints.get(endpoint_id)
        if found is None or found.user_id != user_id:
            return False
        del self._endpoints[endpoint_id]
        self._pushes = {key: one for key, one in self._pushes.items() if one.push.endpoint.endpoint_id != endpoint_id}
        return True

    async def add(self, user_id: UserId, kind: str, variables: Mapping[str, str], number: int, now: datetime) -> int:
        endpoints = await self.endpoints(user_id)
        for endpoint in endpoints:
            push = Push(new_id("push"), endpoint, kind, dict(variables), number, 0, now)
            self._pushes[push.push_id] = _Kept(push, State.WAITING, now)
        return len(endpoints)

    async def claim(self, now: datetime, until: datetime) -> Push | None:
        due = [one for one in self._pushes.values() if one.state is State.WAITING and one.due <= now]
        if not due:
            return None
        kept = min(due, key=lambda one: one.due)
        kept.push = replace(kept.push, attempts=kept.push.attempts + 1)
        kept.state, kept.due = State.SENDING, until
        return replace(kept.push, endpoint=self._endpoints[kept.push.endpoint.endpoint_id])

    async def settle(self, push: Push, outcome: Outcome, now: datetime) -> None:
        kept = self._pushes.get(push.push_id)
        if kept is None or (kept.state, kept.push.attempts) != (State.SENDING, push.attempts):
            return
        kept.state, kept.due = outcome.state, outcome.again or kept.due
        endpoint = self._endpoints.get(push.endpoint.endpoint_id)
        if endpoint is None:
            return
        if outcome.state is not State.GONE:
            self._endpoints[endpoint.endpoint_id] = replace(endpoint, last_state=outcome.state, last_time=now)
            return
        del self._endpoints[endpoint.endpoint_id]
        for one in self._pushes.values():
            if one.push.endpoint.endpoint_id == endpoint.endpoint_id and one.state is State.WAITING:
                one.state = State.GONE

    async def sweep(self, now: datetime) -> int:
        lost = [one for one in self._pushes.values() if one.state is State.SENDING and one.due <= now]
        for one in lost:
            one.state = State.LOST
        return len(lost)
