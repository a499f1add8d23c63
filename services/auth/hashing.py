"""argon2id with a pepper, on a few threads of its own: a storm of log-ins must not slow other calls."""

from __future__ import annotations

import asyncio
import base64
import ctypes
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
KEPT = limit(
    "HASH_MEMORY_KEPT", 1.0, "s", "After the last hash its memory goes back; in a storm that would cost a half more."
)
M_ARENA_MAX = -8  # of malloc.h

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
        self._idle: asyncio.TimerHandle | None = None
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
        if self._idle is not None:
            self._idle.cancel()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _run(self, work: Callable[..., Result], *arguments: str) -> Result:
        if self._waiting >= WAITING:
            raise TooBusy(retry_after=1.0)
        self._waiting += 1
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._threads, work, *arguments)
        finally:
            self._waiting -= 1
            if self._idle is not None:
                self._idle.cancel()
            self._idle = loop.call_later(KEPT, self._give_back)

    def _give_back(self) -> None:
        if self._waiting == 0:
            self._threads.submit(_trim)

    def _hash(self, password: str) -> str:
        return self._hasher.hash(self._peppered(password))

    def _verify(self, stored: str, password: str) -> bool:
        try:
            return self._hasher.verify(stored, self._peppered(password))
        except (VerificationError, InvalidHashError):
            return False

    def _peppered(self, password: str) -> bytes:
        return base64.b64encode(hmac.digest(self._pepper, password.encode(), "sha256"))


def share_one_arena() -> None:
    """Let all threads of the process allocate from one arena: of others the C library gives nothing back.

    For the start of a process, before its threads. Hashes take a tenth longer; 40 MB are free between them.
    """
    _tune("mallopt", M_ARENA_MAX, 1)


def _trim() -> None:
    _tune("malloc_trim", 0)


def _tune(name: str, *arguments: int) -> None:
    """Call a function of the C library; others than glibc have it not and need it not."""
    function = getattr(ctypes.CDLL(None), name, None)
    if function is not None:
        function(*arguments)
