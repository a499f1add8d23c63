"""Idempotency in memory, for tests of whole services without a database."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from infra.idempotency import AnswerNotKept, RequestIdReused, RequestInProgress
from mesh.model import require

Key = tuple[str, str, str]


class FakeIdempotency:
    """Remembers for as long as it lives."""

    def __init__(self) -> None:
        self._answers: dict[Key, tuple[bytes, bytes | None]] = {}
        self._running: set[Key] = set()

    async def once(
        self,
        principal: str,
        method: str,
        request_id: str,
        request_hash: bytes,
        run: Callable[[], Awaitable[bytes]],
        keep: bool,
    ) -> bytes:
        """As infra.idempotency.Idempotency."""
        key = (principal, method, request_id)
        require(key not in self._running, RequestInProgress)
        if key in self._answers:
            return self._before(key, request_hash)
        self._running.add(key)
        try:
            reply = await run()
        finally:
            self._running.discard(key)
        self._answers[key] = (request_hash, reply if keep else None)
        return reply

    def _before(self, key: Key, request_hash: bytes) -> bytes:
        known, reply = self._answers[key]
        require(known == request_hash, RequestIdReused)
        if reply is None:
            raise AnswerNotKept
        return reply
