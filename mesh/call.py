"""A call as steps and servicers see it: ours and frozen, whatever transport carried it."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from typing import Any, NamedTuple

from mesh.contract import Method
from mesh.model import EMPTY, Caller, User

Send = Callable[[bytes], Awaitable[None]]
"""Sends one reply of a stream; waits while the other end does not read."""


class Peer(NamedTuple):
    """Who is at the other end, as the transport proved it. `address`: the client's, as the gateway saw it."""

    workload: str
    address: str = ""


STRANGER = Peer("")
"""Who proved nothing."""


class Incoming(NamedTuple):
    """A call as a transport hands it over.

    `metadata`: keys in lower case; one that was said twice is left out. `timeout`: seconds that the
    client gives, None for no limit. `send`: takes the replies of a stream.
    """

    peer: Peer
    metadata: Mapping[str, str]
    timeout: float | None = None
    send: Send | None = None


class Call(NamedTuple):
    """One call. `deadline` in seconds of `time.monotonic`; `token` is the end user's, for passing on.

    A named tuple, as Peer and Incoming are: some are made for every call, and making a frozen
    dataclass takes four times as long.
    """

    method: Method
    peer: Peer
    deadline: float
    request_id: str = ""
    traceparent: str = ""
    metadata: Mapping[str, str] = EMPTY
    token: str = ""
    user: User | None = None
    expires: float = float("inf")
    """When the end user's token runs out, Unix time: a stream ends then."""
    send: Send | None = None

    @property
    def caller(self) -> Caller:
        """Who calls, as the domain knows it."""
        return Caller(self.peer.workload, self.user, self.request_id, self.traceparent, self.peer.address)

    def for_user(self, user: User, expires: float) -> Call:
        """The same call, made for `user`, whose token runs out at `expires`."""
        method, peer, deadline, request_id, traceparent, metadata, token, _, _, send = self
        return Call(method, peer, deadline, request_id, traceparent, metadata, token, user, expires, send)

    def remaining(self) -> float:
        """Seconds until the deadline; negative when it has passed."""
        return self.deadline - time.monotonic()

    def __repr__(self) -> str:
        """Without metadata and token."""
        return f"Call({self.method.path}, {self.caller!r})"


Proceed = Callable[[Any, Call], Awaitable[bytes]]
"""The rest of the pipeline: from a request (bytes until it is decoded) to the answer's bytes, empty for a stream."""
Step = Callable[[Method, Proceed], Proceed]
"""Puts something around the rest of the pipeline of one method, when handlers are collected.

A step that has nothing to do afterwards is a plain function that gives back what the rest gives: a
coroutine less for every call.
"""

current: ContextVar[Call | None] = ContextVar("call", default=None)
"""The call that this task serves: stubs pass its deadline, token, request id and trace on."""


class Work(NamedTuple):
    """What a worker does that serves no call, such as the handling of an event. `deadline` as in Call."""

    deadline: float
    request_id: str
    traceparent: str
    token: str = ""

    def remaining(self) -> float:
        """Seconds until the deadline; negative when it has passed."""
        return self.deadline - time.monotonic()


working: ContextVar[Work | None] = ContextVar("work", default=None)
"""The work of this task, which stubs pass on as they do with `current`."""
