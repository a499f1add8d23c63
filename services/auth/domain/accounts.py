"""Opening accounts and everything that a person does with a password."""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import dataclass, replace
from datetime import datetime

from mesh.model import ADMINISTRATOR, Caller, Conflict, OrganisationId, UserId, new_id, require
from services.auth.domain import passwords
from services.auth.domain.authentication import Authentication, password_attempts
from services.auth.domain.entities import (
    RESET_WITHIN,
    VERIFY_WITHIN,
    Account,
    AccountCreated,
    Mail,
    MailKind,
    MailRequested,
    RolesChanged,
)
from services.auth.domain.errors import AccountNotFound, BadToken, LastAdministrator
from services.auth.domain.ports import Hasher, Store, Throttle
from services.auth.domain.refresh import mailed


@dataclass(frozen=True)
class Accounts:
    """The use cases. `common`: passwords that everybody tries. `key`: for the tokens of mails."""

    store: Store
    authentication: Authentication
    hasher: Hasher
    throttle: Throttle
    common: Container[str]
    key: bytes
    now: Callable[[], datetime]

    async def sign_up(self, caller: Caller, email: str) -> None:
        """Ask for an account. Whoever asks learns nothing; the owner of the address gets a mail."""
        mail = self.mail(MailKind.VERIFY, email)
        await self.store.sign_up(mail, mail.create_time + VERIFY_WITHIN, MailRequested.of(caller, mail))

    async def verify_email(self, caller: Caller, token: str, password: str) -> UserId:
        """Open the account of a sign-up, with the password of whoever holds the mail.

        Raises: BadToken; WeakPassword.
        """
        now, mail_id, password = self.now(), self.mail_id(token), passwords.normalised(password)
        email = await self.store.signed_up(mail_id, now)
        if email is None:
            raise BadToken
        passwords.check(password, email, second_factor=False, common=self.common, field="password")
        account = Account(
            user_id=UserId(new_id("user", now.timestamp())),
            organisation_id=OrganisationId(new_id("organisation", now.timestamp())),
            email=email,
            password_hash=await self.hasher.hash(password),
            password_length=len(password),
            create_time=now,
        )
        require(await self.store.open_account(mail_id, account, now, AccountCreated.of(caller, account)), BadToken)
        await self.throttle.succeeded(password_attempts(email), caller.address)
        return account.user_id

    async def request_reset(self, caller: Caller, email: str) -> None:
        """Send a reset token to the owner of an address, if there is one."""
        mail = self.mail(MailKind.RESET, email)
        await self.store.request_reset(mail, mail.create_time + RESET_WITHIN, MailRequested.of(caller, mail))

    async def reset_password(self, caller: Caller, token: str, password: str) -> None:
        """Set a new password with a mailed token; a second factor stays.

        Raises: BadToken; WeakPassword; Conflict if the account changed meanwhile.
        """
        now, mail_id, password = self.now(), self.mail_id(token), passwords.normalised(password)
        account = await self.store.reset_account(mail_id, now)
        if account is None:
            raise BadToken
        new = await self._checked(account, password)
        notice = self.mail(MailKind.PASSWORD_CHANGED, account.email)
        done = await self.store.reset_password(mail_id, account, new, now, notice, MailRequested.of(caller, notice))
        require(done, Conflict)
        # Whoever was kept out by another's attempts, or by their own, has shown that the address is theirs.
        await self.throttle.succeeded(password_attempts(account.email), caller.address)

    async def change_password(self, caller: Caller, password: str, new_password: str, code: str) -> None:
        """Change your own password and end your other sessions.

        Raises: BadCredentials; BadCode; TooManyAttempts; WeakPassword; Conflict if it was changed meanwhile.
        """
        new_password = passwords.normalised(new_password)
        # Before a code is used up: the next one may be half a minute away.
        self._check(await self.authentication.own(caller), new_password)
        account = await self.authentication.once_more(caller, password, code)
        new = await self._checked(account, new_password)
        notice = self.mail(MailKind.PASSWORD_CHANGED, account.email)
        event, keep = MailRequested.of(caller, notice), caller.signed_in.session_id
        require(await self.store.set_password(account, new, keep, notice, event), Conflict)

    def _check(self, account: Account, password: str) -> None:
        passwords.check(password, account.email, account.second_factor, self.common, "new_password")

    async def _checked(self, account: Account, password: str) -> Account:
        self._check(account, password)
        return replace(account, password_hash=await self.hasher.hash(password), password_length=len(password))

    async def grant_role(self, caller: Caller, user_id: UserId, role: str) -> Account:
        """Give a role. Raises: AccountNotFound."""
        return await self._set_roles(caller, user_id, lambda roles: roles | {role})

    async def revoke_role(self, caller: Caller, user_id: UserId, role: str) -> Account:
        """Take a role. Raises: AccountNotFound; LastAdministrator."""
        return await self._set_roles(caller, user_id, lambda roles: roles - {role})

    async def appoint_administrator(self, caller: Caller, email: str) -> Account:
        """Make the account of an address an administrator. Raises: AccountNotFound."""
        account = await self.store.account_of(email)
        if account is None:
            raise AccountNotFound
        return await self.grant_role(caller, account.user_id, ADMINISTRATOR)

    async def _set_roles(
        self, caller: Caller, user_id: UserId, change: Callable[[frozenset[str]], frozenset[str]]
    ) -> Account:
        account = await self.store.account(user_id)
        if account is None:
            raise AccountNotFound
        roles = change(account.roles)
        if roles == account.roles:
            return account
        if not await self.store.set_roles(account, roles, RolesChanged.of(caller, account, roles)):
            require(ADMINISTRATOR in roles or await self.store.administrators() > 1, LastAdministrator)
            raise Conflict
        return replace(account, roles=roles, version=account.version + 1)

    def mail(self, kind: MailKind, email: str) -> Mail:
        """A mail to an address."""
        now = self.now()
        return Mail(mail_id=new_id("mail", now.timestamp()), kind=kind, email=email.strip(), create_time=now)

    def mail_id(self, token: str) -> str:
        """The mail that carried a token. Raises: BadToken."""
        mail_id = mailed(self.key, token)
        if mail_id is None:
            raise BadToken
        return mail_id
