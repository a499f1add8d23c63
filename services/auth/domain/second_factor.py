"""TOTP (RFC 6238: SHA-1, 30 s, 6 digits) and recovery codes."""

from __future__ import annotations

import base64
import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from urllib.parse import quote

from mesh.model import Caller, require
from services.auth.domain.accounts import Accounts
from services.auth.domain.entities import Account, MailKind, MailRequested, email_key
from services.auth.domain.errors import BadCode, PasswordTooShort, TotpAlreadyEnrolled, TotpNotEnrolled
from services.auth.domain.passwords import ALONE
from services.auth.domain.ports import Box, Store, Throttle

STEP = 30
"""Seconds for which a code is shown."""
WINDOW = (0, -1, 1)
"""Steps around now that are accepted: clocks differ."""
SEED_BYTES = 20
CODES = 10
CODE_BYTES = 10
DIGITS = 6


class Codes(Protocol):
    """The code of a seed (base 32) at a step."""

    def __call__(self, seed: str, step: int) -> str: ...


@dataclass(frozen=True)
class SecondFactor:
    """The use cases. `pepper`: recovery codes are stored as its HMAC."""

    store: Store
    accounts: Accounts
    throttle: Throttle
    box: Box
    code_at: Codes
    pepper: bytes
    now: Callable[[], datetime]

    async def enrol(self, caller: Caller, password: str) -> tuple[str, str]:
        """A new seed and its otpauth URI; it counts once confirmed.

        Raises: BadCredentials; TooManyAttempts; TotpAlreadyEnrolled.
        """
        account = await self.accounts.reauthenticated(caller, password)
        seed = base64.b32encode(secrets.token_bytes(SEED_BYTES)).decode()
        sealed = self.box.seal(seed.encode(), account.user_id)
        require(not account.second_factor and await self.store.put_totp(account.user_id, sealed), TotpAlreadyEnrolled)
        return seed, f"otpauth://totp/Tulle:{quote(account.email)}?secret={seed}&issuer=Tulle"

    async def confirm(self, caller: Caller, code: str) -> tuple[str, ...]:
        """Switch the second factor on; the recovery codes, shown only now.

        Raises: TotpNotEnrolled; BadCode; TooManyAttempts.
        """
        account = await self.accounts.own(caller)
        require(account.totp_seed is not None and not account.second_factor, TotpNotEnrolled)
        await self._judge(caller, account, code)
        codes = self._new_codes()
        notice = self.accounts.mail(MailKind.TOTP_ENABLED, account.email)
        hashed = [self._hashed(one) for one in codes]
        done = await self.store.confirm_totp(account.user_id, hashed, notice, MailRequested.of(caller, notice))
        require(done, TotpNotEnrolled)
        return codes

    async def disable(self, caller: Caller, password: str, code: str) -> None:
        """Switch the second factor off.

        Raises: BadCredentials; BadCode; TooManyAttempts; TotpNotEnrolled; PasswordTooShort.
        """
        account = await self._reauthenticated(caller, password, code)
        require(account.password_length >= ALONE, PasswordTooShort)
        notice = self.accounts.mail(MailKind.TOTP_DISABLED, account.email)
        await self.store.drop_totp(account.user_id, notice, MailRequested.of(caller, notice))

    async def regenerate_codes(self, caller: Caller, password: str, code: str) -> tuple[str, ...]:
        """Replace the recovery codes. Raises: BadCredentials; BadCode; TooManyAttempts; TotpNotEnrolled."""
        account = await self._reauthenticated(caller, password, code)
        codes = self._new_codes()
        notice = self.accounts.mail(MailKind.RECOVERY_CODES_REPLACED, account.email)
        hashed = [self._hashed(one) for one in codes]
        await self.store.replace_codes(account.user_id, hashed, notice, MailRequested.of(caller, notice))
        return codes

    async def right(self, account: Account, code: str) -> bool:
        """Whether this is a fresh code of the device or an unused recovery code; it is used up."""
        if len(code) == DIGITS and code.isdigit():
            return await self._right_totp(account, code)
        return await self.store.use_code(account.user_id, self._hashed(code))

    async def _right_totp(self, account: Account, code: str) -> bool:
        if account.totp_seed is None:
            return False
        seed = self.box.open(account.totp_seed, account.user_id).decode()
        now = int(self.now().timestamp()) // STEP
        steps = (now + offset for offset in WINDOW)
        found = next((step for step in steps if hmac.compare_digest(self.code_at(seed, step), code)), None)
        return found is not None and await self.store.use_step(account.user_id, found)

    async def _reauthenticated(self, caller: Caller, password: str, code: str) -> Account:
        account = await self.accounts.reauthenticated(caller, password)
        require(account.second_factor, TotpNotEnrolled)
        await self._judge(caller, account, code)
        return account

    async def _judge(self, caller: Caller, account: Account, code: str) -> None:
        await self.throttle.begin(email_key(account.email), caller.address)
        require(await self.right(account, code), BadCode)
        await self.throttle.succeeded(email_key(account.email), caller.address)

    def _hashed(self, code: str) -> bytes:
        return hmac.digest(self.pepper, code.replace("-", "").replace(" ", "").upper().encode(), "sha256")

    def _new_codes(self) -> tuple[str, ...]:
        return tuple(_grouped(base64.b32encode(secrets.token_bytes(CODE_BYTES)).decode()) for _ in range(CODES))


def _grouped(code: str) -> str:
    return "-".join(code[at : at + 4] for at in range(0, len(code), 4))
