"""Accounts and sessions in memory. tests/contract/auth holds it to what the PostgreSQL store promises."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from mesh.model import ADMINISTRATOR, Event, OrganisationId, SessionId, UserId
from services.auth.domain.api_keys import ApiKey
from services.auth.domain.devices import Arrival
from services.auth.domain.entities import (
    Account,
    AccountCreated,
    Mail,
    MailKind,
    MailRequested,
    RolesChanged,
    Session,
    SignedIn,
    email_key,
)
from services.auth.domain.membership import OWNER, Roster


@dataclass
class Kept:
    """A session with the hashes of its refresh tokens."""

    session: Session
    token: bytes
    previous: bytes | None = None
    organisation_id: OrganisationId | None = None

    def lives(self, now: datetime, idle_since: datetime) -> bool:
        return self.session.expire_time > now and self.session.refresh_time > idle_since


class FakeStore:
    """A `services.auth.domain.ports.Store`; `events` is what was announced, with its place in its history."""

    def __init__(self) -> None:
        self.events: list[tuple[int, Event]] = []
        self.accounts: dict[UserId, Account] = {}
        self.mails: dict[str, Mail] = {}
        self.kept: dict[SessionId, Kept] = {}
        self.api_keys: dict[str, ApiKey] = {}
        self._devices: dict[UserId, dict[bytes, datetime]] = {}
        self.rosters: dict[OrganisationId, Roster] = {}
        self._signups: dict[str, tuple[str, datetime]] = {}
        self._resets: dict[str, tuple[UserId | None, datetime]] = {}
        self._challenges: dict[bytes, tuple[UserId, str, datetime]] = {}
        self._codes: dict[UserId, set[bytes]] = {}

    async def sign_up(self, mail: Mail, expires: datetime, event: MailRequested) -> None:
        known = await self.account_of(mail.email)
        if known is None:
            self._signups[mail.mail_id] = (mail.email, expires)
        self.send(replace(mail, kind=MailKind.ALREADY_REGISTERED if known else MailKind.VERIFY), event)

    async def signed_up(self, mail_id: str, now: datetime) -> str | None:
        email, expires = self._signups.get(mail_id, ("", now))
        return email if expires > now else None

    async def open_account(self, mail_id: str, account: Account, now: datetime, event: AccountCreated) -> bool:
        email = await self.signed_up(mail_id, now)
        self._signups.pop(mail_id, None)
        if email is None or await self.account_of(email):
            return False
        self.accounts[account.user_id] = replace(account, email=email)
        self.events.append((account.version, event))
        return True

    async def request_reset(self, mail: Mail, expires: datetime, event: MailRequested) -> None:
        account = await self.account_of(mail.email)
        self._resets[mail.mail_id] = (account.user_id if account else None, expires)
        kind, email = (MailKind.RESET, account.email) if account else (MailKind.NOBODY, "")
        self.send(replace(mail, kind=kind, email=email), event)

    async def reset_account(self, mail_id: str, now: datetime) -> Account | None:
        user_id, expires = self._resets.get(mail_id, (None, now))
        return self.accounts.get(user_id) if user_id and expires > now else None

    async def reset_password(
        self, mail_id: str, old: Account, new: Account, now: datetime, notice: Mail, event: MailRequested
    ) -> bool:
        account = await self.reset_account(mail_id, now)
        if account is None or account.totp_confirmed != old.totp_confirmed:
            return False
        self._set_password(account, new, "", notice, event)
        for key in [key for key in self.api_keys.values() if key.user_id == account.user_id]:
            del self.api_keys[key.api_key_id]
        return True

    async def mail(self, mail_id: str) -> Mail | None:
        return self.mails.get(mail_id)

    async def account(self, user_id: UserId) -> Account | None:
        return self.accounts.get(user_id)

    async def account_of(self, email: str) -> Account | None:
        return next((one for one in self.accounts.values() if email_key(one.email) == email_key(email)), None)

    async def set_password(
        self, old: Account, new: Account, keep: SessionId, notice: Mail, event: MailRequested
    ) -> bool:
        account = self.accounts.get(old.user_id)
        if account is None or account.password_hash != old.password_hash:
            return False
        if account.totp_confirmed != old.totp_confirmed:
            return False
        self._set_password(account, new, keep, notice, event)
        return True

    async def rehash(self, user_id: UserId, old: str, new: str) -> None:
        account = self.accounts.get(user_id)
        if account and account.password_hash == old:
            self.accounts[user_id] = replace(account, password_hash=new)

    async def put_challenge(self, challenge: bytes, account: Account, device: str, expires: datetime) -> bool:
        if not self._stands(account):
            return False
        self._challenges[challenge] = (account.user_id, device, expires)
        return True

    async def challenged(self, challenge: bytes, now: datetime) -> tuple[Account, str] | None:
        if challenge not in self._challenges or self._challenges[challenge][2] <= now:
            return None
        user_id, device, _ = self._challenges[challenge]
        return self.accounts[user_id], device

    async def close_challenge(self, challenge: bytes) -> bool:
        return self._challenges.pop(challenge, None) is not None

    async def put_session(
        self, session: Session, account: Account, token_hash: bytes, most: int, arrival: Arrival
    ) -> bool:
        if not self._stands(account):
            return False
        own = sorted((one for one, kept in self.kept.items() if kept.session.user_id == session.user_id), reverse=True)
        for oldest in own[most - 1 :]:
            del self.kept[oldest]
        self.kept[session.session_id] = Kept(session, token_hash)
        self._arrive(session, arrival)
        return True

    def _arrive(self, session: Session, arrival: Arrival) -> None:
        known = self._devices.get(session.user_id, {})
        if known and arrival.device_hash not in known:
            self.send(arrival.notice, arrival.event)
        known = known | {arrival.device_hash: session.create_time}
        lately = sorted(known, key=lambda one: known[one], reverse=True)[: arrival.most]
        self._devices[session.user_id] = {one: known[one] for one in lately}

    def _stands(self, account: Account) -> bool:
        """Whether password and second factor are still as somebody has shown them."""
        now = self.accounts.get(account.user_id)
        shown = (account.password_hash, account.totp_confirmed)
        return now is not None and (now.password_hash, now.totp_confirmed) == shown

    async def rotate(
        self, session_id: SessionId, old: bytes, new: bytes, now: datetime, idle_since: datetime
    ) -> SignedIn | None:
        kept = self.kept.get(session_id)
        if kept is None or kept.token != old or not kept.lives(now, idle_since):
            return None
        there = kept.organisation_id if self.role_in(kept.organisation_id, kept.session.user_id) else None
        self.kept[session_id] = Kept(replace(kept.session, refresh_time=now), new, old, there)
        return self._signed_in(session_id)

    async def repeat(
        self, session_id: SessionId, previous: bytes, rotated_since: datetime, now: datetime
    ) -> SignedIn | None:
        kept = self.kept.get(session_id)
        if kept is None or kept.previous != previous or kept.session.expire_time <= now:
            return None
        return self._signed_in(session_id) if kept.session.refresh_time >= rotated_since else None

    async def sessions(self, user_id: UserId, now: datetime, idle_since: datetime, limit: int) -> Sequence[Session]:
        own = [
            one.session for one in self.kept.values() if one.session.user_id == user_id and one.lives(now, idle_since)
        ]
        return sorted(own, key=lambda session: session.session_id, reverse=True)[:limit]

    async def living(
        self, session_id: SessionId, now: datetime, idle_since: datetime, organisation_id: OrganisationId | None = None
    ) -> SignedIn | None:
        kept = self.kept.get(session_id)
        return self._signed_in(session_id, organisation_id) if kept and kept.lives(now, idle_since) else None

    async def switch(self, session_id: SessionId, user_id: UserId, organisation_id: OrganisationId) -> SignedIn | None:
        kept, account = self.kept.get(session_id), self.accounts.get(user_id)
        if kept is None or account is None or kept.session.user_id != user_id:
            return None
        personal = organisation_id == account.organisation_id
        if not personal and not self.role_in(organisation_id, user_id):
            return None
        self.kept[session_id] = replace(kept, organisation_id=None if personal else organisation_id)
        return self._signed_in(session_id)

    def role_in(self, organisation_id: OrganisationId | None, user_id: UserId) -> str | None:
        """Somebody's role in an organisation that is not personal."""
        roster = self.rosters.get(organisation_id) if organisation_id else None
        return roster.roles.get(user_id) if roster else None

    async def end_session(self, session_id: SessionId, user_id: UserId | None = None) -> bool:
        kept = self.kept.get(session_id)
        if kept is None or user_id not in (None, kept.session.user_id):
            return False
        del self.kept[session_id]
        return True

    async def end_sessions(self, user_id: UserId) -> int:
        return self._end_all(user_id, "")

    async def put_totp(self, user_id: UserId, seed: bytes) -> bool:
        account = self.accounts.get(user_id)
        if account is None or account.totp_confirmed:
            return False
        self.accounts[user_id] = replace(account, totp_seed=seed)
        return True

    async def use_step(self, user_id: UserId, step: int) -> bool:
        account = self.accounts.get(user_id)
        if account is None or account.totp_step >= step:
            return False
        self.accounts[user_id] = replace(account, totp_step=step)
        return True

    async def confirm_totp(self, account: Account, codes: Sequence[bytes], notice: Mail, event: MailRequested) -> bool:
        current = self.accounts[account.user_id]
        if current.totp_confirmed or current.totp_seed is None or current.totp_seed != account.totp_seed:
            return False
        self.accounts[account.user_id] = replace(current, totp_confirmed=True)
        self._codes[account.user_id] = set(codes)
        self.send(notice, event)
        return True

    async def drop_totp(self, account: Account, notice: Mail, event: MailRequested) -> bool:
        current = self.accounts[account.user_id]
        if not current.totp_confirmed or current.password_hash != account.password_hash:
            return False
        self.accounts[account.user_id] = replace(current, totp_confirmed=False, totp_seed=None)
        self._codes.pop(account.user_id, None)
        self.send(notice, event)
        return True

    async def replace_codes(self, account: Account, codes: Sequence[bytes], notice: Mail, event: MailRequested) -> bool:
        current = self.accounts[account.user_id]
        if not current.totp_confirmed or current.totp_seed != account.totp_seed:
            return False
        self._codes[account.user_id] = set(codes)
        self.send(notice, event)
        return True

    async def use_code(self, user_id: UserId, code: bytes) -> bool:
        codes = self._codes.get(user_id, set())
        found = code in codes
        codes.discard(code)
        return found

    async def set_roles(self, account: Account, roles: frozenset[str], event: RolesChanged) -> bool:
        current = self.accounts[account.user_id]
        falls = ADMINISTRATOR in current.roles and ADMINISTRATOR not in roles
        if current.version != account.version or (falls and await self.administrators() == 1):
            return False
        self.accounts[account.user_id] = replace(current, roles=roles, version=current.version + 1)
        self.events.append((current.version + 1, event))
        return True

    async def administrators(self) -> int:
        return sum(ADMINISTRATOR in account.roles for account in self.accounts.values())

    def _set_password(self, account: Account, new: Account, keep: str, notice: Mail, event: MailRequested) -> None:
        changed = replace(account, password_hash=new.password_hash, password_length=new.password_length)
        self.accounts[account.user_id] = changed
        self._end_all(account.user_id, keep)
        self._resets = {key: one for key, one in self._resets.items() if one[0] != account.user_id}
        self._challenges = {key: one for key, one in self._challenges.items() if one[0] != account.user_id}
        self.send(notice, event)

    def _end_all(self, user_id: UserId, keep: str) -> int:
        ended = [one for one, kept in self.kept.items() if kept.session.user_id == user_id and one != keep]
        for session_id in ended:
            del self.kept[session_id]
        return len(ended)

    def _signed_in(self, session_id: SessionId, asked: OrganisationId | None = None) -> SignedIn:
        session = self.kept[session_id].session
        account, there = self.accounts[session.user_id], asked or self.kept[session_id].organisation_id
        role = self.role_in(there, session.user_id)
        here = there if there and role else account.organisation_id
        return SignedIn(session=session, organisation_id=here, roles=account.roles | {role or OWNER})

    def send(self, mail: Mail, event: MailRequested) -> None:
        """Keep a mail and announce it."""
        self.mails[mail.mail_id] = mail
        self.events.append((1, event))
