"""Switching the second factor on and off."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from mesh.model import Caller, Conflict, require
from services.auth.domain.accounts import Accounts
from services.auth.domain.authentication import Authentication
from services.auth.domain.codes import Codes
from services.auth.domain.entities import Account, MailKind, MailRequested
from services.auth.domain.errors import PasswordTooShort, TotpAlreadyEnrolled, TotpNotEnrolled
from services.auth.domain.passwords import ALONE
from services.auth.domain.ports import Store


@dataclass(frozen=True)
class SecondFactor:
    """The use cases."""

    store: Store
    authentication: Authentication
    accounts: Accounts
    codes: Codes

    async def enrol(self, caller: Caller, password: str) -> tuple[str, str]:
        """A new seed and its otpauth URI; it counts once confirmed.

        Raises: TotpAlreadyEnrolled; BadCredentials; TooManyAttempts.
        """
        require(not (await self.authentication.own(caller)).second_factor, TotpAlreadyEnrolled)
        account = await self.authentication.once_more(caller, password)
        seed, sealed = self.codes.new_seed(account)
        require(await self.store.put_totp(account.user_id, sealed), TotpAlreadyEnrolled)
        return seed, f"otpauth://totp/Tulle:{quote(account.email)}?secret={seed}&issuer=Tulle"

    async def confirm(self, caller: Caller, code: str) -> tuple[str, ...]:
        """Switch the second factor on; the recovery codes, shown only now.

        Raises: TotpNotEnrolled; BadCode; TooManyAttempts.
        """
        account = await self.authentication.own(caller)
        require(account.totp_seed is not None and not account.second_factor, TotpNotEnrolled)
        await self.authentication.by_code(caller, account, code)
        codes, hashed = self.codes.new_recovery_codes()
        notice = self.accounts.mail(MailKind.TOTP_ENABLED, account.email)
        require(
            await self.store.confirm_totp(account, hashed, notice, MailRequested.of(caller, notice)), TotpNotEnrolled
        )
        return codes

    async def disable(self, caller: Caller, password: str, code: str) -> None:
        """Switch the second factor off.

        Raises: BadCredentials; BadCode; TooManyAttempts; TotpNotEnrolled; PasswordTooShort.
        """
        own = await self.authentication.own(caller)
        account = await self.authentication.by_password(caller, own.email, password)
        require(account.second_factor, TotpNotEnrolled)
        # Before a code is used up: the next one may be half a minute away.
        require(account.password_length >= ALONE, PasswordTooShort)
        await self.authentication.by_code(caller, account, code)
        notice = self.accounts.mail(MailKind.TOTP_DISABLED, account.email)
        require(await self.store.drop_totp(account, notice, MailRequested.of(caller, notice)), Conflict)

    async def regenerate_codes(self, caller: Caller, password: str, code: str) -> tuple[str, ...]:
        """Replace the recovery codes. Raises: BadCredentials; BadCode; TooManyAttempts; TotpNotEnrolled."""
        account = await self._shown(caller, password, code)
        codes, hashed = self.codes.new_recovery_codes()
        notice = self.accounts.mail(MailKind.RECOVERY_CODES_REPLACED, account.email)
        require(await self.store.replace_codes(account, hashed, notice, MailRequested.of(caller, notice)), Conflict)
        return codes

    async def _shown(self, caller: Caller, password: str, code: str) -> Account:
        account = await self.authentication.once_more(caller, password, code)
        require(account.second_factor, TotpNotEnrolled)
        return account
