"""Hashing beside everything else that a process does."""

from __future__ import annotations

import asyncio
import unicodedata
from contextlib import closing

import pytest

from mesh.model import Exhausted
from services.auth.domain.passwords import normalised
from services.auth.hashing import THREADS, WAITING, Argon2


async def test_the_loop_turns_while_passwords_are_hashed() -> None:
    """Real hashes on all threads leave the loop to other calls."""
    with closing(Argon2("pepper")) as hasher:
        hashing = asyncio.gather(*(hasher.hash("a door of blue glass") for _ in range(4 * THREADS)))
        turns = 0
        while not hashing.done():
            await asyncio.sleep(0)
            turns += 1
        assert turns > 100
        assert len(set(await hashing)) == 4 * THREADS


async def test_who_is_refused_is_told_when_to_come_again() -> None:
    """A refusal names a time, and there is room again once the others are done."""
    with closing(Argon2("pepper", memory_kib=64)) as hasher:
        waiting = asyncio.gather(*(hasher.hash("x") for _ in range(WAITING)))
        await asyncio.sleep(0)
        with pytest.raises(Exhausted) as refusal:
            await hasher.verify(None, "x")
        assert refusal.value.retry_after
        await waiting
        assert await hasher.hash("x")


async def test_whoever_goes_away_leaves_room() -> None:
    """Callers whose time ran out count no longer."""
    with closing(Argon2("pepper", memory_kib=64)) as hasher:
        for _ in range(3):
            waiting = [asyncio.ensure_future(hasher.hash("x")) for _ in range(WAITING)]
            await asyncio.sleep(0)
            for one in waiting:
                one.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
        assert await hasher.hash("x")


async def test_nobody_has_a_password() -> None:
    """For no account every password is wrong, the one that it is compared with included."""
    with closing(Argon2("pepper", memory_kib=64)) as hasher:
        assert not await hasher.verify(None, "nobody")


async def test_a_broken_hash_opens_nothing() -> None:
    """What is no hash is no password's hash."""
    with closing(Argon2("pepper", memory_kib=64)) as hasher:
        for stored in ("", "$argon2id$", "plain"):
            assert not await hasher.verify(stored or "!", "plain")


@pytest.mark.parametrize("password", ["é à la crème brûlée", "한글 비밀번호는 길어도 좋다", "a" * 256 + "é"])
async def test_a_password_is_the_same_on_every_keyboard(password: str) -> None:
    """However its characters were composed, a password is itself."""
    with closing(Argon2("pepper", memory_kib=64)) as hasher:
        stored = await hasher.hash(normalised(unicodedata.normalize("NFD", password)))
        assert await hasher.verify(stored, normalised(unicodedata.normalize("NFC", password)))
