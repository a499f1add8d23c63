"""Showing who one is: by password, by code, once more. Each attempt is counted before it is judged."""

from __future__ import annotations

from dataclasses import dataclass, replace

from mesh.model import Caller, Exhausted, Unavailable, require
from services.auth.domain import passwords
from services.auth.domain.codes import Codes
from services.auth.domain.entities import Account, email_key
from services.auth.domain.errors import BadCode, BadCredentials, SessionEnded
from services.auth.domain.ports import Hasher, Store, Throttle


@dataclass(frozen=True)
class Authentication:
    """What everything that needs a proof goes through."""

    store: Store
    hasher: Hasher
    throttle: Throttle
    codes: Codes

    async def by_password(self, caller: Caller, email: str, password: str) -> Account:
        """The account that address and password open, and never faster for one that is not there.

        Raises: BadCredentials; TooManyAttempts.
        """
        attempts = password_attempts(email)
        await self.throttle.begin(attempts, caller.address)
        password = passwords.normalised(password)
        try:
            account = await self.store.account_of(email)
            right = await self.hasher.verify(account.password_hash if account else None, password)
        except (Exhausted, Unavailable):
            await self.throttle.unjudged(attempts, caller.address)
            raise
        if account is None or not right:
            raise BadCredentials
        await self.throttle.succeeded(attempts, caller.address)
        return await self._rehashed(account, password)

    async def by_code(self, caller: Caller, account: Account, code: str) -> None:
        """Use up a code of the second factor. Raises: BadCode; TooManyAttempts."""
        attempts = code_attempts(account.email)
        await self.throttle.begin(attempts, caller.address)
        require(await self.codes.right(account, code), BadCode)
        await self.throttle.succeeded(attempts, caller.address)

    async def once_more(self, caller: Caller, password: str, code: str = "") -> Account:
        """Your own account, after you have shown everything again that opens it.

        Raises: BadCredentials; BadCode; TooManyAttempts.
        """
        account = await self.by_password(caller, (await self.own(caller)).email, password)
        if account.second_factor:
            await self.by_code(caller, account, code)
        return account

    async def own(self, caller: Caller) -> Account:
        """Your own account. Raises: SessionEnded if it is gone."""
        account = await self.store.account(caller.signed_in.user_id)
        if account is None:
            raise SessionEnded
        return account

    async def _rehashed(self, account: Account, password: str) -> Account:
        if not self.hasher.outdated(account.password_hash):
            return account
        new = await self.hasher.hash(password)
        await self.store.rehash(account.user_id, account.password_hash, new)
        return replace(account, password_hash=new)


def password_attempts(email: str) -> str:
    """What attempts with a password are counted under."""
    return f"password:{email_key(email)}"


def code_attempts(email: str) -> str:
    """What attempts with a code are counted under: who has the password still has to guess the code."""
    return f"code:{email_key(email)}"
