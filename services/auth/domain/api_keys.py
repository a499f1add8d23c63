"""API keys: a program shows one for an access token, and acts by it for the person who made it.

A key is `tulle_<id>.<secret>`. What is stored of the secret is its SHA-256: it has 256 random bits, so that
nobody can try them all, however fast the hash, and each exchange would pay for a slow one.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

from mesh.model import (
    PLATFORM_ROLES,
    Caller,
    Conflict,
    OrganisationId,
    SessionId,
    User,
    UserId,
    Violation,
    new_id,
    require,
)
from services.auth.domain.accounts import Accounts
from services.auth.domain.authentication import Authentication
from services.auth.domain.entities import Account, Mail, MailKind, MailRequested
from services.auth.domain.errors import (
    ApiKeyNotFound,
    BadApiKey,
    BadExpireTime,
    SessionEnded,
    TooManyApiKeys,
    UnknownScope,
)
from services.auth.domain.ports import Signer

SECRET_BYTES = 32
MOST_API_KEYS = 20
"""Of one account, in all of its organisations."""
LONGEST_LIFE = timedelta(days=365)
DEFAULT_GRACE = timedelta(days=1)
LONGEST_GRACE = timedelta(days=7)
NOTED_EVERY = timedelta(minutes=1)
"""Of the uses of a key, one is written down in so long."""
_KEY = re.compile(r"tulle_(apikey_[0-7][0-9a-hjkmnp-tv-z]{25})\.([A-Za-z0-9_-]{43})")
_NO_HASH = bytes(hashlib.sha256().digest_size)
"""Of no secret: what a key that is not there is compared with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A key of an account, in one organisation. `previous_hash`: of the secret before, good until then."""

    api_key_id: str
    user_id: UserId
    organisation_id: OrganisationId
    name: str
    scopes: tuple[str, ...]
    secret_hash: bytes
    previous_hash: bytes | None = None
    previous_expire_time: datetime | None = None
    create_time: datetime
    expire_time: datetime
    use_time: datetime | None = None

    def opened_by(self, secret_hash: bytes, now: datetime) -> bool:
        """Whether a secret is the key's, or was until a rotation whose grace still runs; both are compared."""
        current = hmac.compare_digest(self.secret_hash, secret_hash)
        previous = hmac.compare_digest(self.previous_hash or _NO_HASH, secret_hash)
        return current or (previous and self.in_grace(now))

    def in_grace(self, now: datetime) -> bool:
        """Whether the secret before the last rotation is still good."""
        return self.previous_expire_time is not None and self.previous_expire_time > now

    def shown(self, now: datetime) -> ApiKey:
        """The key as its owner sees it: a grace that has run out is none."""
        return self if self.in_grace(now) else replace(self, previous_hash=None, previous_expire_time=None)

    def rotated(self, secret_hash: bytes, grace: timedelta, expire_time: datetime, now: datetime) -> ApiKey:
        """The key with a new secret; of the old ones only the last is good, for `grace`."""
        return replace(
            self,
            secret_hash=secret_hash,
            previous_hash=self.secret_hash if grace else None,
            previous_expire_time=now + grace if grace else None,
            expire_time=expire_time,
        )


@dataclass(frozen=True, slots=True)
class Acting:
    """A key with the roles that its owner holds now, in its organisation."""

    key: ApiKey
    roles: frozenset[str]

    @property
    def user(self) -> User:
        """Whom it acts for: its owner, without what the platform has given to them."""
        key = self.key
        roles, scopes = self.roles - PLATFORM_ROLES, frozenset(key.scopes)
        return User(key.user_id, key.organisation_id, SessionId(key.api_key_id), roles, scopes)


class ApiKeyStore(Protocol):
    """Where keys are kept; tests/contract/auth says what each method promises."""

    async def put_api_key(
        self, key: ApiKey, session_id: SessionId, most: int, notice: Mail, event: MailRequested
    ) -> bool:
        """Keep a new key; False if the session has ended or the account has `most` that have not expired."""

    async def api_keys(self, user_id: UserId, now: datetime) -> Sequence[ApiKey]:
        """Those of an account that have not expired, oldest first."""

    async def acting(self, api_key_id: str, now: datetime) -> Acting | None:
        """A key that has not expired, with its owner's roles; None too if they have left its organisation."""

    async def rotate_api_key(self, old: ApiKey, new: ApiKey, notice: Mail, event: MailRequested) -> bool:
        """Replace the secret and the end of a key; False if it is gone or its secret is not that of `old`."""

    async def note_use(self, api_key_id: str, now: datetime, before: datetime) -> None:
        """Write down that a key was used, unless that was done since `before`."""

    async def drop_api_key(self, api_key_id: str, user_id: UserId) -> bool:
        """Forget a key of that user; whether there was one."""


@dataclass(frozen=True)
class ApiKeys:
    """The use cases. `known`: the scopes that the contract's methods ask for."""

    store: ApiKeyStore
    authentication: Authentication
    accounts: Accounts
    signer: Signer
    known: frozenset[str]
    now: Callable[[], datetime]

    async def create(
        self,
        caller: Caller,
        name: str,
        scopes: Sequence[str],
        expire_time: datetime | None,
        password: str,
        code: str,
    ) -> tuple[ApiKey, str]:
        """A new key, and the text that a program shows, which nobody sees again.

        Raises: UnknownScope; BadExpireTime; TooManyApiKeys; BadCredentials; BadCode; TooManyAttempts; Conflict if
        the session ended or others were made meanwhile.
        """
        now, user = self.now(), caller.signed_in
        # Before a code is used up: the next one may be half a minute away.
        self._check_scopes(scopes)
        expires = _end(expire_time, now, now + LONGEST_LIFE)
        require(len(await self.store.api_keys(user.user_id, now)) < MOST_API_KEYS, TooManyApiKeys)
        account = await self.authentication.once_more(caller, password, code)
        key, secret = _new_key(user, name, scopes, now, expires)
        notice, event = self._notice(caller, account, MailKind.API_KEY_CREATED)
        require(await self.store.put_api_key(key, user.session_id, MOST_API_KEYS, notice, event), Conflict)
        return key, _text(key, secret)

    async def list_api_keys(self, caller: Caller) -> Sequence[ApiKey]:
        """Your keys that have not expired, oldest first."""
        now = self.now()
        return [key.shown(now) for key in await self.store.api_keys(caller.signed_in.user_id, now)]

    async def rotate(
        self,
        caller: Caller,
        api_key_id: str,
        grace: timedelta | None,
        expire_time: datetime | None,
        password: str,
        code: str,
    ) -> tuple[ApiKey, str]:
        """One of your keys with a new secret, and its new text.

        Raises: ApiKeyNotFound; BadExpireTime; BadCredentials; BadCode; TooManyAttempts; Conflict if it was rotated
        or revoked meanwhile.
        """
        now = self.now()
        old = await self._own(caller, api_key_id)
        expires = _end(expire_time, now, old.expire_time)
        account = await self.authentication.once_more(caller, password, code)
        secret = _new_secret()
        new = old.rotated(_hash(secret), DEFAULT_GRACE if grace is None else grace, expires, now)
        notice, event = self._notice(caller, account, MailKind.API_KEY_ROTATED)
        require(await self.store.rotate_api_key(old, new, notice, event), Conflict)
        return new, _text(new, secret)

    async def revoke(self, caller: Caller, api_key_id: str) -> None:
        """End one of your keys. Raises: ApiKeyNotFound."""
        require(await self.store.drop_api_key(api_key_id, caller.signed_in.user_id), ApiKeyNotFound)

    async def exchange(self, text: str) -> tuple[str, int, OrganisationId]:
        """An access token for a key, its life in seconds and its organisation.

        A key that is not there costs as much as one whose secret is another. Raises: BadApiKey.
        """
        api_key_id, secret = _parts(text)
        now, secret_hash = self.now(), _hash(secret)
        found = await self.store.acting(api_key_id, now)
        if found is None:
            hmac.compare_digest(_NO_HASH, secret_hash)
            raise BadApiKey
        require(found.key.opened_by(secret_hash, now), BadApiKey)
        if found.key.use_time is None or found.key.use_time <= now - NOTED_EVERY:
            await self.store.note_use(api_key_id, now, now - NOTED_EVERY)
        token, life = await self.signer.key_token(found.user)
        return token, life, found.key.organisation_id

    async def living(self, api_key_id: str) -> User:
        """Whom a key acts for, as true now. Raises: SessionEnded."""
        found = await self.store.acting(api_key_id, self.now())
        if found is None:
            raise SessionEnded
        return found.user

    async def _own(self, caller: Caller, api_key_id: str) -> ApiKey:
        own = await self.store.api_keys(caller.signed_in.user_id, self.now())
        found = next((key for key in own if key.api_key_id == api_key_id), None)
        if found is None:
            raise ApiKeyNotFound
        return found

    def _check_scopes(self, scopes: Sequence[str]) -> None:
        unknown = [(place, scope) for place, scope in enumerate(scopes) if scope not in self.known]
        if unknown:
            known = f"is none of {', '.join(sorted(self.known))}"
            raise UnknownScope(violations=tuple(Violation(f"scopes[{place}]", known) for place, _ in unknown))

    def _notice(self, caller: Caller, account: Account, kind: MailKind) -> tuple[Mail, MailRequested]:
        notice = self.accounts.mail(kind, account.email)
        return notice, MailRequested.of(caller, notice)


def _end(wanted: datetime | None, now: datetime, otherwise: datetime) -> datetime:
    """When a key ends. Raises: BadExpireTime."""
    if wanted is None:
        return otherwise
    if not now < wanted <= now + LONGEST_LIFE:
        why = "must be in the future, and at most a year ahead"
        raise BadExpireTime(violations=(Violation("expire_time", why),))
    return wanted


def _new_key(user: User, name: str, scopes: Sequence[str], now: datetime, expires: datetime) -> tuple[ApiKey, str]:
    """A key of that user, and its secret."""
    secret = _new_secret()
    key = ApiKey(
        api_key_id=new_id("apikey", now.timestamp()),
        user_id=user.user_id,
        organisation_id=user.organisation_id,
        name=name,
        scopes=tuple(sorted(scopes)),
        secret_hash=_hash(secret),
        create_time=now,
        expire_time=expires,
    )
    return key, secret


def _new_secret() -> str:
    return secrets.token_urlsafe(SECRET_BYTES)


def _text(key: ApiKey, secret: str) -> str:
    return f"tulle_{key.api_key_id}.{secret}"


def _parts(text: str) -> tuple[str, str]:
    """Id and secret of a key. Raises: BadApiKey if it is none, which its holder sees too."""
    found = _KEY.fullmatch(text)
    if found is None:
        raise BadApiKey
    return found[1], found[2]


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
