"""How people are reached: the mails that auth wants sent, and the addresses of accounts."""

from __future__ import annotations

from dataclasses import dataclass

from mesh.model import UserId
from services.auth.domain.entities import Account, Mail, MailKind
from services.auth.domain.errors import AccountNotFound, MailNotFound
from services.auth.domain.ports import Store
from services.auth.domain.refresh import mailed_token

WITH_TOKEN = frozenset({MailKind.VERIFY, MailKind.RESET, MailKind.INVITATION})
"""Whoever holds one of these may do something with it; the others are notices."""


@dataclass(frozen=True, slots=True)
class Letter:
    """A mail, whose account it is about, and the token that it carries, if any."""

    mail: Mail
    user_id: UserId
    token: str


@dataclass(frozen=True)
class Contacts:
    """The use cases. `key` makes the tokens of mails."""

    store: Store
    key: bytes

    async def letter(self, mail_id: str) -> Letter:
        """A mail to be sent. Raises: MailNotFound, also for one that goes to nobody."""
        mail = await self.store.mail(mail_id)
        if mail is None or mail.kind is MailKind.NOBODY:
            raise MailNotFound
        account = await self.store.account_of(mail.email)
        token = mailed_token(self.key, mail.mail_id) if mail.kind in WITH_TOKEN else ""
        return Letter(mail, account.user_id if account else UserId(""), token)

    async def contact(self, user_id: UserId) -> Account:
        """The account that is to be reached. Raises: AccountNotFound."""
        if (account := await self.store.account(user_id)) is None:
            raise AccountNotFound
        return account
