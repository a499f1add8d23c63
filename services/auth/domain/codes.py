"""The codes of a second factor: TOTP (RFC 6238: SHA-1, 30 s, 6 digits) and recovery codes."""

from __future__ import annotations

import base64
import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from services.auth.domain.entities import Account
from services.auth.domain.ports import Box, Store

STEP = 30
"""Seconds for which a code is shown."""
WINDOW = (0, -1, 1)
"""Steps around now that are accepted: clocks differ."""
SEED_BYTES = 20
CODES = 10
CODE_BYTES = 10
DIGITS = 6


class CodeAt(Protocol):
    """The code of a seed (base 32) at a step."""

    def __call__(self, seed: str, step: int) -> str: ...


@dataclass(frozen=True)
class Codes:
    """Makes and judges codes. `pepper`: recovery codes are stored as its HMAC."""

    store: Store
    box: Box
    code_at: CodeAt
    pepper: bytes
    now: Callable[[], datetime]

    def new_seed(self, account: Account) -> tuple[str, bytes]:
        """A seed for an account: in base 32, and as it is stored."""
        seed = base64.b32encode(secrets.token_bytes(SEED_BYTES)).decode()
        return seed, self.box.seal(seed.encode(), account.user_id)

    def new_recovery_codes(self) -> tuple[tuple[str, ...], tuple[bytes, ...]]:
        """Recovery codes as people get them, and as they are stored."""
        codes = tuple(_grouped(base64.b32encode(secrets.token_bytes(CODE_BYTES)).decode()) for _ in range(CODES))
        return codes, tuple(map(self._hashed, codes))

    async def right(self, account: Account, code: str) -> bool:
        """Whether this is a fresh code of the device or an unused recovery code; it is used up."""
        if len(code) == DIGITS and code.isdecimal():
            return await self._right_totp(account, code)
        return await self.store.use_code(account.user_id, self._hashed(code))

    async def _right_totp(self, account: Account, code: str) -> bool:
        if account.totp_seed is None:
            return False
        seed = self.box.open(account.totp_seed, account.user_id).decode()
        now = int(self.now().timestamp()) // STEP
        steps = (now + offset for offset in WINDOW)
        found = next((step for step in steps if _same(self.code_at(seed, step), code)), None)
        return found is not None and await self.store.use_step(account.user_id, found)

    def _hashed(self, code: str) -> bytes:
        plain = "".join(code.split()).replace("-", "").upper()
        return hmac.digest(self.pepper, b"recovery" + plain.encode(), "sha256")


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())


def _grouped(code: str) -> str:
    return "-".join(code[at : at + 4] for at in range(0, len(code), 4))
