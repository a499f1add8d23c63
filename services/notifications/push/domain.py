"""Endpoints of browsers, and pushes to them: each at most once, and each with what came of it.

An attempt is written down before it begins. Whoever dies in the middle leaves a push of which nobody knows
whether it was taken: it counts as lost and is not tried again. Only what a push service says it did not take,
or what never reached it, is tried again.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from mesh.model import EMPTY, AlreadyExists, Caller, Exhausted, Invalid, NotFound, UserId, new_id, require
from services.notifications.domain.insisting import insist

ENDPOINTS_MOST = 10
"""Of one person."""
ATTEMPTS = 6
"""Of one push; with the pauses between them some five minutes."""
PAUSE = 10.0
PAUSE_LONGEST = 300.0
LEASE = 60.0
"""Longer than an attempt takes; then its courier is dead."""
TTL = 4 * 3600.0
"""How long a push service keeps a push for a browser that is off; what is older, the inbox tells."""


class EndpointNotFound(NotFound):
    """There is no such endpoint."""


class TooManyEndpoints(Exhausted):
    """You have as many endpoints as one may have; remove one first."""


class EndpointTaken(AlreadyExists):
    """This endpoint belongs to another account; let the browser subscribe anew."""


class BadEndpoint(Invalid):
    """No push can go to this endpoint: its URL must be https at a public host, its keys those of a browser."""


class State(enum.StrEnum):
    """What has come of a push."""

    WAITING = "waiting"
    SENDING = "sending"
    SENT = "sent"
    GONE = "gone"
    FAILED = "failed"
    LOST = "lost"
    WITHHELD = "withheld"


@dataclass(frozen=True)
class Keys:
    """What a browser gave for encryption (RFC 8291): its public key and its secret, both raw."""

    p256dh: bytes
    auth: bytes


@dataclass(frozen=True)
class Endpoint:
    """Where a push service takes pushes for one browser."""

    endpoint_id: str
    user_id: UserId
    url: str
    keys: Keys
    create_time: datetime
    last_state: State | None = None
    last_time: datetime | None = None


@dataclass(frozen=True)
class Push:
    """One notice on its way to one endpoint."""

    push_id: str
    endpoint: Endpoint
    kind: str
    variables: Mapping[str, str]
    number: int
    attempts: int
    create_time: datetime

    def payload(self, title: str, body: str) -> bytes:
        """What the browser gets to read: what the notice says, and where it stands in the inbox."""
        told = {"kind": self.kind, "title": title, "body": body, "number": str(self.number)}
        return json.dumps(told, ensure_ascii=False).encode()


@dataclass(frozen=True)
class Outcome:
    """`again`: with WAITING, when. `what`: in a word or two, for whoever looks."""

    state: State
    what: str = ""
    again: datetime | None = None


@dataclass(frozen=True)
class Answer:
    """What a push service said; `status` 0: it was not reached. `retry_after`: seconds that it asks for."""

    status: int
    retry_after: float = 0.0


class Unclear(Exception):
    """The push was on its way when the connection was lost."""


class Store(Protocol):
    """Where endpoints and pushes are kept."""

    async def register(self, endpoint: Endpoint, most: int) -> Endpoint:
        """Keep it, or with new keys the one with its URL. Raises: TooManyEndpoints, EndpointTaken."""

    async def endpoints(self, user_id: UserId) -> Sequence[Endpoint]:
        """All of a person, oldest first."""

    async def remove(self, user_id: UserId, endpoint_id: str) -> bool:
        """Forget it with its pushes; whether it was there."""

    async def add(self, user_id: UserId, kind: str, variables: Mapping[str, str], number: int, now: datetime) -> int:
        """A push to each endpoint of the person, in the ambient transaction; how many."""

    async def claim(self, now: datetime, until: datetime) -> Push | None:
        """The push that is due, which is SENDING now."""

    async def settle(self, push: Push, outcome: Outcome, now: datetime) -> None:
        """Say what came of this attempt; with GONE its endpoint is forgotten.

        Nothing, if that was said, or another attempt has begun since.
        """

    async def sweep(self, now: datetime) -> int:
        """Those whose courier died are LOST; how many."""


class Courier(Protocol):
    """Brings a push to its push service."""

    async def send(self, endpoint: Endpoint, payload: bytes, ttl: float) -> Answer:
        """One attempt. Raises: Unclear; BadEndpoint if nothing may be sent there."""


Check = Callable[[str, Keys], None]
"""Raises: BadEndpoint."""
Words = Callable[[str, Mapping[str, str], str], tuple[str, str]]
"""Title and body of a kind with its variables, for a locale."""
_LOCALE = "locale"
"""The variable of a push that says in which language its person reads."""


class Pushes:
    """The use cases."""

    def __init__(self, store: Store, courier: Courier, check: Check, words: Words, now: Callable[[], datetime]) -> None:
        self.store, self._courier, self._check, self._words, self.now = store, courier, check, words, now

    async def register(self, caller: Caller, url: str, keys: Keys) -> Endpoint:
        """A browser of the caller's is told from now on. Raises: BadEndpoint, TooManyEndpoints, EndpointTaken."""
        self._check(url, keys)
        endpoint = Endpoint(new_id("endpoint"), caller.signed_in.user_id, url, keys, self.now())
        return await self.store.register(endpoint, ENDPOINTS_MOST)

    async def endpoints(self, caller: Caller) -> Sequence[Endpoint]:
        """All of the caller's."""
        return await self.store.endpoints(caller.signed_in.user_id)

    async def remove(self, caller: Caller, endpoint_id: str) -> None:
        """Raises: EndpointNotFound, also for another's."""
        require(await self.store.remove(caller.signed_in.user_id, endpoint_id), EndpointNotFound)

    async def tell(
        self, user_id: UserId, kind: str, variables: Mapping[str, str] = EMPTY, number: int = 0, locale: str = ""
    ) -> int:
        """Push to all browsers of a person, once the ambient transaction is committed; how many there are."""
        return await self.store.add(user_id, kind, {**variables, _LOCALE: locale}, number, self.now())

    async def send_next(self) -> bool:
        """Attempt the push that is due; whether there was one. What nobody foresaw is raised once it has FAILED."""
        now = self.now()
        until = now + timedelta(seconds=LEASE)
        push = await self.store.claim(now, until)
        if push is None:
            return False
        try:
            outcome = await self._attempted(push)
        except Exception:
            await self._keep(push, Outcome(State.FAILED, "internal"), until)
            raise
        await self._keep(push, outcome, until)
        return True

    async def _keep(self, push: Push, outcome: Outcome, until: datetime) -> None:
        """Write down what has come of it, before somebody takes it for lost. Raises: Unavailable."""
        now = self.now()
        await insist(lambda: self.store.settle(push, outcome, now), now, until)

    async def _attempted(self, push: Push) -> Outcome:
        age = (self.now() - push.create_time).total_seconds()
        if age >= TTL:
            return Outcome(State.FAILED, "too old")
        try:
            payload = push.payload(*self._words(push.kind, push.variables, push.variables.get(_LOCALE, "")))
            answer = await self._courier.send(push.endpoint, payload, TTL - age)
        except Unclear:
            return Outcome(State.LOST, "connection lost")
        except BadEndpoint:
            return Outcome(State.GONE, "not allowed")
        return self._outcome(push, answer)

    def _outcome(self, push: Push, answer: Answer) -> Outcome:
        """RFC 8030: 201 is accepted, 404 and 410 mean that the endpoint is no more."""
        what = str(answer.status or "not reached")
        if 200 <= answer.status < 300:
            return Outcome(State.SENT, what)
        if answer.status in (404, 410):
            return Outcome(State.GONE, what)
        if answer.status and answer.status != 429 and answer.status < 500:
            return Outcome(State.FAILED, what)
        if push.attempts >= ATTEMPTS:
            return Outcome(State.FAILED, what)
        pause = min(PAUSE_LONGEST, max(answer.retry_after, PAUSE * 2.0 ** (push.attempts - 1)))
        return Outcome(State.WAITING, what, self.now() + timedelta(seconds=pause))
