"""A call as servicers see it: ours and frozen, whatever transport carried it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field

from mesh.contract import Method
from mesh.model import EMPTY, Caller


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is at the other end, as the transport proved it. `address`: the client's, as the gateway saw it."""

    workload: str
    address: str = ""


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

    def remaining(self) -> float:
        """Seconds until the deadline; negative when it has passed."""
        return self.deadline - time.monotonic()


current: ContextVar[Call | None] = ContextVar("call", default=None)
"""The call that this task serves: stubs pass its deadline, token, request id and trace on."""
