"""A call as steps and servicers see it: ours and frozen, whatever transport carried it."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from mesh.contract import Method
from mesh.model import EMPTY, Caller, User

Send = Callable[[bytes], Awaitable[None]]
"""Sends one reply of a stream; waits while the other end does not read."""


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is at the other end, as the transport proved it. `address`: the client's, as the gateway saw it."""

    workload: str
    address: str = ""


STRANGER = Peer("")
"""Who proved nothing."""


@dataclass(frozen=True, slots=True)
class Incoming:
    """A call as a transport hands it over.

    `metadata`: keys in lower case; one that was said twice is left out. `timeout`: seconds that the
    client gives, None for no limit. `send`: takes the replies of a stream.
    """

    peer: Peer
    metadata: Mapping[str, str]
    timeout: float | None = None
    send: Send | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """One call. `deadline` in seconds of `time.monotonic`; `token` is the end user's, for passing on."""

    method: Method
    caller: Caller
    deadline: float
    metadata: Mapping[str, str] = field(default_factory=lambda: EMPTY, repr=False)
    token: str = field(default="", repr=False)
    expires: float = float("inf")
    """When the end user's token runs out, Unix time: a stream ends then."""
    send: Send | None = field(default=None, repr=False)

    def for_user(self, user: User, expires: float) -> Call:
        """The same call, made for `user`, whose token runs out at `expires`."""
        by = self.caller
        caller = Caller(by.workload, user, by.request_id, by.traceparent, by.address)
        return Call(self.method, caller, self.deadline, self.metadata, self.token, expires, self.send)

    def remaining(self) -> float:
        """Seconds until the deadline; negative when it has passed."""
        return self.deadline - time.monotonic()


Proceed = Callable[[Any, Call], Awaitable[bytes]]
"""The rest of the pipeline: from a request (bytes until it is decoded) to the answer's bytes, empty for a stream."""
Step = Callable[[Method, Proceed], Proceed]
"""Puts something around the rest of the pipeline of one method, when handlers are collected."""

current: ContextVar[Call | None] = ContextVar("call", default=None)
"""The call that this task serves: stubs pass its deadline, token, request id and trace on."""
