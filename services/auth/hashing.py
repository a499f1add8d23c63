"""argon2id with a pepper, on a few threads of its own: a storm of log-ins must not slow other calls."""

from __future__ import annotations

import asyncio
import base64
import hmac
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from infra.limits import limit
from mesh.model import Exhausted

THREADS = limit(
    "HASH_THREADS", 2, "", "Hashes at once: argon2 leaves the interpreter lock, and a machine has other work."
)
WAITING = limit(
    "HASH_WAITING", 64, "", "Hashes that wait, some 25 ms each; more could not be done within the deadline."
)
# OWASP's minimum: 19 MiB, two passes, one lane.
MEMORY_KIB = limit("HASH_MEMORY", 19456, "KiB", "OWASP's minimum for argon2id with two passes.")
PASSES = limit("HASH_PASSES", 2, "", "OWASP's minimum for argon2id with 19 MiB.")

Result = TypeVar("Result")


class TooBusy(Exhausted):
    """Too many passwords are being checked at once; try again in a moment."""


TooBusy.reason = Exhausted.reason


class Argon2:
    """A `services.auth.domain.ports.Hasher`."""

    def __init__(self, pepper: str, memory_kib: int = MEMORY_KIB) -> None:
        self._pepper = pepper.encode()
        self._hasher = PasswordHasher(time_cost=PASSES, memory_cost=memory_kib, parallelism=1)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="argon2")
        self._waiting = 0
        # What a password for no account is compared with, so that it takes as long.
        self._nobody = self._hash("nobody")

    async def hash(self, password: str) -> str:
        """A new hash. Raises: TooBusy."""
        return await self._run(self._hash, password)

    async def verify(self, stored: str | None, password: str) -> bool:
        """Whether it is the password; None takes as long and is False. Raises: TooBusy."""
        right = await self._run(self._verify, stored or self._nobody, password)
        return right and stored is not None

    def outdated(self, stored: str) -> bool:
        """Whether the hash is weaker than new ones."""
        return self._hasher.check_needs_rehash(stored)

    def close(self) -> None:
        """Let the threads end."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _run(self, work: Callable[..., Result], *arguments: str) -> Result:
        if self._waiting >= WAITING:
            raise TooBusy(retry_after=1.0)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)
        finally:
            self._waiting -= 1

    def _hash(self, password: str) -> str:
        return self._hasher.hash(self._peppered(password))

    def _verify(self, stored: str, password: str) -> bool:
        try:
            return self._hasher.verify(stored, self._peppered(password))
        except (VerificationError, InvalidHashError):
            return False

    def _peppered(self, password: str) -> bytes:
        return base64.b64encode(hmac.digest(self._pepper, password.encode(), "sha256"))
