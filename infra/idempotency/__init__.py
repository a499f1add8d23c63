"""Idempotency: the same request id, the same answer (AIP-155).

The key is written in the handler's own transaction: either the effect, the key and the answer are
all there, or none is, whatever dies in between. A handler that raises leaves nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

from asyncpg import LockNotAvailableError

from infra import limits
from infra.postgres import Contention, Database, milliseconds, queries
from mesh import model

sql = queries(Path(__file__).with_name("queries.sql"))
_KEEP = timedelta(seconds=limits.IDEMPOTENCY_KEEP)


class RequestIdReused(model.Invalid):
    """This request_id was used for another request; make a new one for each request."""


class RequestInProgress(model.Conflict):
    """The same request is being carried out; ask again for its answer in a moment."""


class AnswerNotKept(model.AlreadyExists):
    """The same request was carried out before; its answer holds a credential and was not kept."""


class Idempotency:
    """What was answered to whom under which request id, for IDEMPOTENCY_KEEP."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def once(
        self,
        principal: str,
        method: str,
        request_id: str,
        request_hash: bytes,
        run: Callable[[], Awaitable[bytes]],
        keep: bool,
    ) -> bytes:
        """The answer of `run`, or the one that was given before to the same request.

        `run` is called in a transaction that it must join, maybe more than once. `keep`: whether the
        answer may be stored. Raises: RequestIdReused; RequestInProgress; AnswerNotKept.
        """
        key = {"principal": principal, "method": method, "request_id": request_id}

        async def attempt() -> bytes:
            if not await self._begin(key, request_hash):
                return await self._answer(key, request_hash)
            reply = await run()
            if keep:
                async with self._database.connection() as connection:
                    await sql.finish(connection, **key, reply=reply)
            return reply

        return await self._database.run(attempt)

    async def _begin(self, key: dict[str, str], request_hash: bytes) -> bool:
        async with self._database.connection() as connection:
            try:
                begun = await sql.begin(
                    connection,
                    **key,
                    request_hash=request_hash,
                    keep=_KEEP,
                    twin_wait=milliseconds(limits.IDEMPOTENCY_WAIT),
                    lock_wait=milliseconds(limits.LOCK_TIMEOUT),
                )
            except LockNotAvailableError as error:
                raise RequestInProgress(retry_after=0.2) from error
        return begun is not None

    async def _answer(self, key: dict[str, str], request_hash: bytes) -> bytes:
        async with self._database.connection() as connection:
            before = await sql.answer(connection, **key)
        if before is None:
            raise Contention(retry_after=0.1)
        model.require(before["request_hash"] == request_hash, RequestIdReused)
        model.require(before["reply"] is not None, AnswerNotKept)
        return bytes(before["reply"])
