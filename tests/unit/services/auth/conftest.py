"""The use cases of auth on stores in memory, with a clock that tests set."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pyotp
import pytest

from mesh.model import Caller, OrganisationId, User
from services.auth.ceremonies import WebAuthn
from services.auth.common import common_passwords
from services.auth.domain.accounts import Accounts
from services.auth.domain.api_keys import ApiKey, ApiKeys
from services.auth.domain.authentication import Authentication
from services.auth.domain.codes import STEP, Codes
from services.auth.domain.credentials import Credentials
from services.auth.domain.devices import Devices
from services.auth.domain.entities import Issued, MailKind, SignedIn
from services.auth.domain.membership import Bounds, Invitation
from services.auth.domain.organisations import Organisations
from services.auth.domain.passkeys import Passkey, Passkeys
from services.auth.domain.refresh import mailed_token
from services.auth.domain.second_factor import SecondFactor
from services.auth.domain.sessions import Sessions
from services.auth.hashing import Argon2, TooBusy
from services.auth.sealing import AesBox
from tests.fakes.api_keys import FakeApiKeys
from tests.fakes.auth import FakeStore
from tests.fakes.authenticator import Authenticator
from tests.fakes.organisations import FakeOrganisations
from tests.fakes.passkeys import FakePasskeys

KEY = b"key"
BOUNDS = Bounds(organisations=2, members=3, invitations=2, invitation_life=timedelta(days=7))
URL = "https://app.example.org"
ADA = "ada@example.com"
PASSWORD = "a door of blue glass"
SCOPES = frozenset({"billing.read", "billing.write", "users.read"})
NOBODY = Caller("gateway", address="192.0.2.1")


class Unthrottled:
    """Counts attempts, and lets them all pass."""

    counted = 0

    async def begin(self, account: str, address: str) -> None:
        self.counted += 1

    async def unjudged(self, account: str, address: str) -> None:
        self.counted -= 1

    async def succeeded(self, account: str, address: str) -> None: ...


class Unsigned:
    async def access_token(self, signed_in: SignedIn) -> tuple[str, int]:
        return f"{signed_in.organisation_id} {','.join(sorted(signed_in.roles))}", 300

    async def key_token(self, user: User) -> tuple[str, int]:
        """Says all that a token would."""
        return f"{user.session_id} {user.user_id} {sorted(user.roles)} {sorted(user.scopes or ())}", 300


class CountingHasher(Argon2):
    """Counts what it does."""

    work = 0
    busy = False

    async def hash(self, password: str) -> str:
        self.work += 1
        return await super().hash(password)

    async def verify(self, stored: str | None, password: str) -> bool:
        if self.busy:
            raise TooBusy
        self.work += 1
        return await super().verify(stored, password)


@dataclass
class World:
    """Everything of auth but its boxes."""

    hasher: CountingHasher
    now: datetime = datetime(2026, 5, 1, 12, tzinfo=UTC)
    store: FakeStore = field(default_factory=FakeStore)
    throttle: Unthrottled = field(default_factory=Unthrottled)

    def __post_init__(self) -> None:
        codes = Codes(self.store, AesBox("key"), self.code_at, b"pepper", self.clock)
        authentication = Authentication(self.store, self.hasher, self.throttle, codes)
        common = common_passwords()
        self.accounts = Accounts(self.store, authentication, self.hasher, self.throttle, common, KEY, self.clock)
        self.second_factor = SecondFactor(self.store, authentication, self.accounts, codes)
        devices = Devices(b"pepper", 9)
        self.sessions = Sessions(self.store, authentication, devices, Unsigned(), KEY, self.clock)
        self.organisations = Organisations(FakeOrganisations(self.store), self.accounts, BOUNDS, self.clock)
        kept = FakePasskeys(self.store)
        self.passkeys = Passkeys(kept, WebAuthn([URL]), authentication, self.accounts, self.sessions, self.clock)
        keys = FakeApiKeys(self.store)
        self.api_keys = ApiKeys(keys, authentication, self.accounts, Unsigned(), SCOPES, self.clock)
        self.credentials = Credentials(self.sessions, self.api_keys)

    def clock(self) -> datetime:
        return self.now

    def wait(self, **time: float) -> None:
        self.now += timedelta(**time)

    @staticmethod
    def code_at(seed: str, step: int) -> str:
        return pyotp.TOTP(seed).at(step * STEP)

    def code(self, seed: str, offset: int = 0) -> str:
        return self.code_at(seed, int(self.now.timestamp()) // STEP + offset)

    def mailed(self, kind: MailKind) -> str:
        """The token of the last mail of a kind."""
        return mailed_token(KEY, [mail.mail_id for mail in self.store.mails.values() if mail.kind is kind][-1])

    async def sign_up(self, email: str = ADA) -> None:
        await self.accounts.sign_up(NOBODY, email)
        await self.accounts.verify_email(NOBODY, self.mailed(MailKind.VERIFY), PASSWORD)

    async def log_in(self, password: str = PASSWORD, email: str = ADA) -> Issued:
        issued = await self.sessions.log_in(NOBODY, email, password, "phone")
        assert isinstance(issued, Issued)
        return issued

    async def caller(self, email: str = ADA) -> Caller:
        """Ada, or somebody else with an account, logged in."""
        found = await self.sessions.living((await self.log_in(email=email)).session_id)
        user = User(found.session.user_id, found.organisation_id, found.session.session_id, found.roles)
        return Caller("gateway", user, address=NOBODY.address)

    async def newcomer(self, email: str) -> Caller:
        """Somebody who signs up and logs in."""
        await self.sign_up(email)
        return await self.caller(email)

    async def within(self, caller: Caller, organisation_id: OrganisationId) -> Caller:
        """The same, with a token for that organisation, checked afresh."""
        await self.sessions.switch(caller, organisation_id)
        return await self.again(replace(caller, user=replace(caller.signed_in, organisation_id=organisation_id)))

    async def again(self, caller: Caller) -> Caller:
        """The same with what is true now."""
        return replace(caller, user=await self.sessions.check(caller.signed_in))

    async def founder(self, email: str = ADA, name: str = "Torres") -> Caller:
        """The owner of a new organisation, in it."""
        owner = await self.newcomer(email)
        return await self.within(owner, (await self.organisations.create(owner, name)).organisation_id)

    async def invite(self, by: Caller, email: str, role: str) -> tuple[Invitation, str]:
        """An invitation, and the token in its mail."""
        invitation = await self.organisations.invite(by, email, role)
        return invitation, mailed_token(KEY, invitation.mail_id)

    async def joining(self, by: Caller, email: str, role: str) -> Caller:
        """A newcomer who is invited, joins and switches."""
        person = await self.newcomer(email)
        _, token = await self.invite(by, email, role)
        joined = await self.organisations.accept(person, token)
        return await self.within(person, joined.organisation_id)

    async def challenge(self, password: str = PASSWORD) -> str:
        challenge = await self.sessions.log_in(NOBODY, ADA, password, "phone")
        assert isinstance(challenge, str)
        return challenge

    async def enrol(self, ada: Caller) -> tuple[str, tuple[str, ...]]:
        seed, _ = await self.second_factor.enrol(ada, PASSWORD)
        return seed, await self.second_factor.confirm(ada, self.code(seed))

    async def add_passkey(self, ada: Caller, device: Authenticator) -> Passkey:
        options = await self.passkeys.begin_registration(ada, PASSWORD, "")
        return await self.passkeys.finish_registration(ada, device.create(options), "phone")

    async def make_key(self, ada: Caller, *scopes: str) -> tuple[ApiKey, str]:
        """A key and its text."""
        return await self.api_keys.create(ada, "nightly export", scopes or ("billing.read",), None, PASSWORD, "")

    async def use_passkey(self, device: Authenticator) -> Issued:
        return await self.passkeys.finish_log_in(NOBODY, device.get(await self.passkeys.begin_log_in()), "phone")


@pytest.fixture
async def world() -> AsyncIterator[World]:
    with closing(CountingHasher("pepper", memory_kib=64)) as hasher:
        yield World(hasher)
