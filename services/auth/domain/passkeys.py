"""Passkeys (WebAuthn): adding them, logging in with them, keeping them in order."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

from mesh.model import Caller, Conflict, SessionId, UserId, new_id, require
from services.auth.domain.accounts import Accounts
from services.auth.domain.authentication import Authentication
from services.auth.domain.entities import Account, Issued, Mail, MailKind, MailRequested
from services.auth.domain.errors import BadPasskey, BadRegistration, PasskeyNotFound, SessionEnded, TooManyPasskeys
from services.auth.domain.sessions import Sessions

ANSWER_WITHIN = timedelta(minutes=5)
"""WebAuthn recommends 5 to 10 minutes for a ceremony in which a person is verified."""
CHALLENGE_BYTES = 32
MOST_PASSKEYS = 10
"""Of one account."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Passkey:
    """A public key of an account. `sign_count`: the authenticator's own count of uses; 0 if it keeps none."""

    passkey_id: str
    user_id: UserId
    name: str
    credential_id: bytes
    public_key: bytes
    sign_count: int
    backed_up: bool
    create_time: datetime
    use_time: datetime | None = None


@dataclass(frozen=True, slots=True)
class Made:
    """What an authenticator says of a key that it has made."""

    credential_id: bytes
    public_key: bytes
    sign_count: int
    backed_up: bool


class PasskeyStore(Protocol):
    """Where passkeys and open challenges are kept; tests/contract/auth says what each method promises."""

    async def open_challenge(self, challenge: bytes, session_id: SessionId | None, expires: datetime) -> bool:
        """Keep the hash of a challenge, of a session that adds a passkey or of a stranger who logs in.

        False if the session has ended.
        """

    async def close_challenge(self, challenge: bytes, session_id: SessionId | None, now: datetime) -> bool:
        """Use the challenge up; False if there is none for that session. It is gone with its session."""

    async def put_passkey(
        self, passkey: Passkey, session_id: SessionId, most: int, notice: Mail, event: MailRequested
    ) -> bool:
        """Keep a passkey; False if the session has ended, the account has `most`, or somebody has its credential."""

    async def passkeys(self, user_id: UserId) -> Sequence[Passkey]:
        """Those of an account, oldest first."""

    async def passkey_of(self, credential_id: bytes) -> Passkey | None:
        """The passkey of a credential."""

    async def use_passkey(self, passkey_id: str, sign_count: int, backed_up: bool, now: datetime) -> bool:
        """Note a use; False if it is gone, or was used meanwhile with this count or a later one."""

    async def rename_passkey(self, passkey_id: str, user_id: UserId, name: str) -> Passkey | None:
        """Give a passkey of that user another name."""

    async def drop_passkey(self, passkey_id: str, user_id: UserId, notice: Mail, event: MailRequested) -> bool:
        """Forget a passkey of that user; whether there was one."""


class Ceremonies(Protocol):
    """What WebAuthn asks of a relying party. Raises: ValueError for whatever answer is not right."""

    def creation(self, account: Account, challenge: bytes, known: Sequence[bytes]) -> str:
        """The options with which a device makes a key; `known`: the account's credentials, not to be made twice."""

    def request(self, challenge: bytes) -> str:
        """The options with which a device answers."""

    def challenge(self, answer: str) -> bytes:
        """The challenge that an answer claims to answer."""

    def made(self, answer: str, challenge: bytes) -> Made:
        """The key in the answer to `creation`, if all of it is right."""

    def credential(self, answer: str) -> bytes:
        """The credential that an answer to `request` claims to come from."""

    def used(self, answer: str, challenge: bytes, passkey: Passkey) -> tuple[int, bool]:
        """The new sign count and whether it is backed up, if the passkey's owner has signed the challenge."""


@dataclass(frozen=True)
class Passkeys:
    """The use cases."""

    store: PasskeyStore
    ceremonies: Ceremonies
    authentication: Authentication
    accounts: Accounts
    sessions: Sessions
    now: Callable[[], datetime]

    async def begin_registration(self, caller: Caller, password: str, code: str) -> str:
        """The options with which your device makes a passkey.

        Raises: BadCredentials; BadCode; TooManyAttempts; TooManyPasskeys; SessionEnded.
        """
        own = await self.store.passkeys(caller.signed_in.user_id)
        # Before a code is used up: the next one may be half a minute away.
        require(len(own) < MOST_PASSKEYS, TooManyPasskeys)
        account = await self.authentication.once_more(caller, password, code)
        challenge = await self._challenge(caller.signed_in.session_id)
        return self.ceremonies.creation(account, challenge, [one.credential_id for one in own])

    async def finish_registration(self, caller: Caller, answer: str, name: str) -> Passkey:
        """Add the passkey that your device has made.

        Raises: BadRegistration; Conflict if the session ended or others were added meanwhile.
        """
        account, session_id = await self.authentication.own(caller), caller.signed_in.session_id
        try:
            challenge = self.ceremonies.challenge(answer)
            require(await self.store.close_challenge(_hash(challenge), session_id, self.now()), BadRegistration)
            made = self.ceremonies.made(answer, challenge)
        except ValueError as error:
            raise BadRegistration from error
        passkey = self._passkey(account, made, name)
        notice = self.accounts.mail(MailKind.PASSKEY_ADDED, account.email)
        event = MailRequested.of(caller, notice)
        require(await self.store.put_passkey(passkey, session_id, MOST_PASSKEYS, notice, event), Conflict)
        return passkey

    async def begin_log_in(self) -> str:
        """The options with which any device with a passkey answers."""
        return self.ceremonies.request(await self._challenge(None))

    async def finish_log_in(self, caller: Caller, answer: str, device: str) -> Issued:
        """Log in. Both factors are shown: the device is one, and it has verified its owner.

        Raises: BadPasskey; Conflict if the password was changed meanwhile.
        """
        try:
            passkey = await self._used(answer)
        except ValueError as error:
            raise BadPasskey from error
        account = await self.accounts.store.account(passkey.user_id)
        if account is None:
            raise BadPasskey
        return await self.sessions.begin(caller, account, device)

    async def _used(self, answer: str) -> Passkey:
        challenge, now = self.ceremonies.challenge(answer), self.now()
        require(await self.store.close_challenge(_hash(challenge), None, now), BadPasskey)
        passkey = await self.store.passkey_of(self.ceremonies.credential(answer))
        if passkey is None:
            raise BadPasskey
        sign_count, backed_up = self.ceremonies.used(answer, challenge, passkey)
        require(await self.store.use_passkey(passkey.passkey_id, sign_count, backed_up, now), BadPasskey)
        return replace(passkey, sign_count=sign_count, backed_up=backed_up, use_time=now)

    async def list_passkeys(self, caller: Caller) -> Sequence[Passkey]:
        """Your passkeys, oldest first."""
        return await self.store.passkeys(caller.signed_in.user_id)

    async def rename(self, caller: Caller, passkey_id: str, name: str) -> Passkey:
        """Give one of your passkeys another name. Raises: PasskeyNotFound."""
        renamed = await self.store.rename_passkey(passkey_id, caller.signed_in.user_id, name)
        if renamed is None:
            raise PasskeyNotFound
        return renamed

    async def remove(self, caller: Caller, passkey_id: str, password: str, code: str) -> None:
        """Remove one of your passkeys.

        Raises: PasskeyNotFound; BadCredentials; BadCode; TooManyAttempts.
        """
        own = await self.store.passkeys(caller.signed_in.user_id)
        require(any(one.passkey_id == passkey_id for one in own), PasskeyNotFound)
        account = await self.authentication.once_more(caller, password, code)
        notice = self.accounts.mail(MailKind.PASSKEY_REMOVED, account.email)
        event = MailRequested.of(caller, notice)
        require(await self.store.drop_passkey(passkey_id, account.user_id, notice, event), PasskeyNotFound)

    async def _challenge(self, session_id: SessionId | None) -> bytes:
        challenge = secrets.token_bytes(CHALLENGE_BYTES)
        opened = await self.store.open_challenge(_hash(challenge), session_id, self.now() + ANSWER_WITHIN)
        require(opened, SessionEnded)
        return challenge

    def _passkey(self, account: Account, made: Made, name: str) -> Passkey:
        now = self.now()
        return Passkey(
            passkey_id=new_id("passkey", now.timestamp()),
            user_id=account.user_id,
            name=name,
            credential_id=made.credential_id,
            public_key=made.public_key,
            sign_count=made.sign_count,
            backed_up=made.backed_up,
            create_time=now,
        )


def _hash(challenge: bytes) -> bytes:
    return hashlib.sha256(challenge).digest()
