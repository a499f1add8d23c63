"""What a service process consists of: what its `build` yields and every transport runs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

from mesh.model import User

Worker = Callable[[], Awaitable[None]]
"""Runs until it is cancelled; started again with back-off when it fails."""
ReadyCheck = Callable[[], Awaitable[None]]
"""Raises when one of the service's own boxes is not usable."""


class TokenVerifier(Protocol):
    """Turns an access token into its user."""

    async def verify(self, token: str) -> tuple[User, float]:
        """The user and when the token ends (Unix time). Raises: Unauthenticated; Unavailable."""


class SessionCheck(Protocol):
    """Knows what is true of a session now, whatever its token says."""

    async def check(self, user: User) -> User:
        """The user with the roles held now. Raises: Unauthenticated if the session has ended."""


class Idempotency(Protocol):
    """Remembers answers by request id."""

    async def once(
        self,
        principal: str,
        method: str,
        request_id: str,
        request_hash: bytes,
        run: Callable[[], Awaitable[bytes]],
        keep: bool,
    ) -> bytes:
        """The answer of `run`, or the one given before to the same request."""


@dataclass(frozen=True, slots=True)
class App:
    """One workload's servicers, with what the pipeline and the process need of it.

    `servicers`: pairs of a generated `add_…Servicer_to_server` and a servicer. `workers` run in every
    process of the workload; `jobs` need no caller near them, and may run in processes of their own.
    """

    workload: str
    servicers: tuple[tuple[Callable[[Any, Any], None], object], ...]
    tokens: TokenVerifier
    sessions: SessionCheck
    idempotency: Idempotency | None = None
    ready: tuple[ReadyCheck, ...] = ()
    workers: tuple[Worker, ...] = ()
    jobs: tuple[Worker, ...] = ()
