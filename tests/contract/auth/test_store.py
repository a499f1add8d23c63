"""What every store of auth promises; run against PostgreSQL and against the fake."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from mesh.model import ADMINISTRATOR, Caller, OrganisationId, SessionId, UserId, new_id
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
)
from tests.contract.auth.stores import Kept

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
LATER = NOON + timedelta(hours=1)
IDLE = NOON - timedelta(days=1)
CALLER = Caller("gateway")
ADA = "Ada@example.com"
ADMINISTRATORS = frozenset({ADMINISTRATOR})


def mail(kind: MailKind = MailKind.VERIFY, email: str = ADA) -> Mail:
    return Mail(mail_id=new_id("mail"), kind=kind, email=email, create_time=NOON)


def told(notice: Mail) -> tuple[Mail, MailRequested]:
    return notice, MailRequested.of(CALLER, notice)


async def sign_up(kept: Kept, email: str = ADA) -> str:
    asked = mail(email=email)
    await kept.store.sign_up(asked, LATER, MailRequested.of(CALLER, asked))
    return asked.mail_id


async def verify(kept: Kept, mail_id: str, now: datetime = NOON) -> Account | None:
    account = Account(
        user_id=UserId(new_id("user")),
        organisation_id=OrganisationId(new_id("organisation")),
        email=await kept.store.signed_up(mail_id, now) or "",
        password_hash="hash",
        password_length=20,
        create_time=NOON,
    )
    opened = await kept.store.open_account(mail_id, account, now, AccountCreated.of(CALLER, account))
    return account if opened else None


async def opened(kept: Kept, email: str = ADA) -> Account:
    account = await verify(kept, await sign_up(kept, email))
    assert account is not None
    return account


def new_session(account: Account, at: float | None = None) -> Session:
    return Session(
        session_id=SessionId(new_id("session", at)),
        user_id=account.user_id,
        device="phone",
        create_time=NOON,
        refresh_time=NOON,
        expire_time=LATER,
    )


def arrival(account: Account, device: bytes = b"phone", most: int = 9) -> Arrival:
    notice = mail(MailKind.NEW_DEVICE, account.email)
    return Arrival(device_hash=device, most=most, notice=notice, event=MailRequested.of(CALLER, notice))


async def log_in(kept: Kept, account: Account, most: int = 9, at: float | None = None) -> Session:
    session = new_session(account, at)
    assert await kept.store.put_session(session, account, b"t0", most, arrival(account))
    return session


async def told_of(kept: Kept, account: Account, device: bytes, most: int = 9, minute: int = 0) -> bool:
    """Whether a log-in with a device is told of, by a mail that is kept and announced."""
    now, arrived = NOON + timedelta(minutes=minute), arrival(account, device, most)
    notice = replace(arrived.notice, create_time=now, details={"device": "phone"})
    session = replace(new_session(account), create_time=now)
    assert await kept.store.put_session(session, account, b"t0", 99, replace(arrived, notice=notice))
    sent = await kept.store.mail(notice.mail_id)
    assert sent in (None, notice)
    announced = (MailRequested.type, "mail", notice.mail_id, 1) in await kept.announced()
    assert announced == (sent is not None)
    return announced


async def enrolled(kept: Kept, account: Account) -> Account:
    assert await kept.store.put_totp(account.user_id, b"seed")
    current = await kept.store.account(account.user_id)
    assert current is not None
    assert await kept.store.confirm_totp(current, [b"one", b"two"], *told(mail(MailKind.TOTP_ENABLED)))
    return replace(current, totp_confirmed=True)


async def living(kept: Kept, session: Session) -> SignedIn | None:
    return await kept.store.living(session.session_id, NOON, IDLE)


async def asked_reset(kept: Kept, email: str = ADA) -> str:
    asked = mail(MailKind.RESET, email)
    await kept.store.request_reset(asked, LATER, MailRequested.of(CALLER, asked))
    return asked.mail_id


async def test_a_sign_up_becomes_an_account_once(kept: Kept) -> None:
    """A sign-up opens one account, found by its id and by its address in any case, and announces it."""
    mail_id = await sign_up(kept)
    account = await verify(kept, mail_id)
    assert account is not None
    assert account.email == ADA
    assert await kept.store.signed_up(mail_id, NOON) is None
    assert await verify(kept, mail_id) is None
    assert await kept.store.account(account.user_id) == account == await kept.store.account_of("aDA@example.com ")
    assert (AccountCreated.type, "account", account.user_id, 1) in await kept.announced()


async def test_an_old_sign_up_opens_nothing(kept: Kept) -> None:
    """A sign-up that has expired, or that never was, opens no account."""
    assert await verify(kept, await sign_up(kept), LATER) is None
    assert await verify(kept, new_id("mail")) is None


async def test_an_address_has_one_account(kept: Kept) -> None:
    """Of several sign-ups of one address one opens an account; who signs up later is only told."""
    first, second = await sign_up(kept), await sign_up(kept)
    assert await verify(kept, first)
    assert await verify(kept, second) is None
    third = await sign_up(kept)
    kinds = [sent.kind for one in (first, second, third) if (sent := await kept.store.mail(one))]
    assert kinds == [MailKind.VERIFY, MailKind.VERIFY, MailKind.ALREADY_REGISTERED]
    assert await verify(kept, third) is None


async def test_a_reset_of_nobody_goes_to_nobody(kept: Kept) -> None:
    """Asking for a reset of an unknown address announces the same and opens nothing."""
    mail_id = await asked_reset(kept)
    sent = await kept.store.mail(mail_id)
    assert sent is not None
    assert (sent.kind, sent.email) == (MailKind.NOBODY, "")
    assert await kept.store.reset_account(mail_id, NOON) is None
    assert await kept.announced() == [(MailRequested.type, "mail", mail_id, 1)]


async def test_a_mail_keeps_what_its_text_needs(kept: Kept) -> None:
    """Whatever a mail is about, its details come back as they were given; most have none."""
    details = {"device": 'Ada\'s "phone" 📱', "moment": "2026-05-01T12:00:00+00:00"}
    account = await opened(kept)
    notice = replace(mail(MailKind.PASSWORD_CHANGED), details=details)
    assert await kept.store.set_password(account, account, SessionId(""), *told(notice))
    for sent in (replace(mail(), details=details), mail()):
        await kept.store.sign_up(sent, LATER, MailRequested.of(CALLER, sent))
        assert await kept.store.mail(sent.mail_id) == replace(sent, kind=MailKind.ALREADY_REGISTERED)
    asked = replace(mail(MailKind.RESET), details=details)
    await kept.store.request_reset(asked, LATER, MailRequested.of(CALLER, asked))
    for sent in (notice, asked):
        assert await kept.store.mail(sent.mail_id) == sent


async def test_a_reset_is_used_once_and_ends_everything(kept: Kept) -> None:
    """A reset sets the password, ends sessions, challenges and other resets, keeps the second factor.

    One that meets another second factor than it knows does nothing, and can be used afterwards.
    """
    account = await enrolled(kept, await opened(kept))
    session, first, other = await log_in(kept, account), await asked_reset(kept), await asked_reset(kept)
    assert await kept.store.put_challenge(b"c", account, "", LATER)
    assert await kept.store.reset_account(first, LATER) is None
    new = replace(account, password_hash="new", password_length=9)
    notice = mail(MailKind.PASSWORD_CHANGED)
    before = replace(account, totp_confirmed=False)
    assert not await kept.store.reset_password(first, before, new, NOON, *told(mail(MailKind.PASSWORD_CHANGED)))
    assert await kept.store.reset_password(first, account, new, NOON, *told(notice))
    after = await kept.store.account(account.user_id)
    assert after is not None
    assert (after.password_hash, after.password_length, after.totp_confirmed) == ("new", 9, True)
    assert await living(kept, session) is None
    assert await kept.store.challenged(b"c", NOON) is None
    for used in (first, other):
        assert not await kept.store.reset_password(used, account, new, NOON, *told(mail(MailKind.PASSWORD_CHANGED)))
    assert await kept.store.mail(notice.mail_id) == notice


async def test_a_new_password_keeps_one_session(kept: Kept) -> None:
    """A changed password ends all sessions but one, and nothing happens if the account is another by now."""
    account = await opened(kept)
    mine, other = await log_in(kept, account), await log_in(kept, account)
    new = replace(account, password_hash="new")
    notice = told(mail(MailKind.PASSWORD_CHANGED))
    assert await kept.store.set_password(account, new, mine.session_id, *notice)
    assert await living(kept, mine)
    assert await living(kept, other) is None
    again = told(mail(MailKind.PASSWORD_CHANGED))
    assert not await kept.store.set_password(account, new, mine.session_id, *again)
    with_factor = replace(new, totp_confirmed=True)
    assert not await kept.store.set_password(with_factor, new, mine.session_id, *again)
    assert await kept.store.mail(again[0].mail_id) is None


async def test_a_rehash_replaces_the_hash_it_knows(kept: Kept) -> None:
    """A rehash leaves a password that was changed meanwhile."""
    account = await opened(kept)
    await kept.store.rehash(account.user_id, "other", "lost")
    assert await kept.store.account(account.user_id) == account
    await kept.store.rehash(account.user_id, "hash", "stronger")
    assert await kept.store.account(account.user_id) == replace(account, password_hash="stronger")


async def test_a_challenge_is_closed_once(kept: Kept) -> None:
    """A challenge tells its account and device until it is closed or expires."""
    account = await opened(kept)
    assert await kept.store.put_challenge(b"c", account, "phone", LATER)
    assert await kept.store.challenged(b"c", NOON) == (account, "phone")
    assert await kept.store.challenged(b"c", LATER) is None
    assert [await kept.store.close_challenge(b"c"), await kept.store.close_challenge(b"c")] == [True, False]
    assert await kept.store.challenged(b"c", NOON) is None


async def test_what_was_shown_must_still_be_true(kept: Kept) -> None:
    """With another password or second factor than was shown, neither a challenge nor a session begins."""
    account = await opened(kept)
    for shown in (replace(account, password_hash="old"), replace(account, totp_confirmed=True)):
        assert not await kept.store.put_challenge(b"c", shown, "phone", LATER)
        assert await kept.store.challenged(b"c", NOON) is None
        session = new_session(account)
        assert not await kept.store.put_session(session, shown, b"t0", 9, arrival(account))
        assert await living(kept, session) is None
    assert not await told_of(kept, account, b"laptop"), "what did not begin was no first device"


async def test_a_new_device_is_told_of_once(kept: Kept) -> None:
    """An account's first device is not told of, another one is at its first log-in, whoever else uses it."""
    ada, bob = await opened(kept), await opened(kept, "bob@example.com")
    told_ada = [await told_of(kept, ada, device) for device in (b"phone", b"phone", b"laptop", b"laptop", b"phone")]
    assert told_ada == [False, False, True, False, False]
    assert [await told_of(kept, bob, device) for device in (b"laptop", b"phone")] == [False, True]


async def test_the_device_used_longest_ago_is_forgotten(kept: Kept) -> None:
    """An account remembers so many devices; one more takes the place of the one that was used longest ago."""
    account = await opened(kept)
    used = [b"a", b"b", b"a", b"c", b"a", b"b"]
    told = [await told_of(kept, account, device, most=2, minute=minute) for minute, device in enumerate(used)]
    assert told == [False, True, False, True, False, True]


async def test_a_reset_forgets_no_device(kept: Kept) -> None:
    """After a reset a known device is known, and any other is told of."""
    account = await opened(kept)
    assert not await told_of(kept, account, b"phone")
    new = replace(account, password_hash="new")
    notice = told(mail(MailKind.PASSWORD_CHANGED))
    assert await kept.store.reset_password(await asked_reset(kept), account, new, NOON, *notice)
    assert [await told_of(kept, new, device) for device in (b"phone", b"laptop")] == [False, True]


async def test_a_refresh_token_rotates_once(kept: Kept) -> None:
    """A token is replaced once; its predecessor is known until the successor is used or the grace is over."""
    account = await opened(kept)
    session_id = (await log_in(kept, account)).session_id
    rotate, repeat = kept.store.rotate, kept.store.repeat
    assert await rotate(session_id, b"t0", b"t1", NOON, IDLE)
    assert await rotate(session_id, b"t0", b"t1", NOON, IDLE) is None
    assert await repeat(session_id, b"t0", NOON, NOON)
    assert await repeat(session_id, b"t0", NOON + timedelta(seconds=1), NOON) is None
    assert await repeat(session_id, b"made up", NOON, NOON) is None
    assert await rotate(session_id, b"t1", b"t2", NOON, IDLE)
    assert await repeat(session_id, b"t0", NOON, NOON) is None


async def test_a_session_ends_by_time(kept: Kept) -> None:
    """A session that has expired or was idle too long neither rotates nor repeats nor is listed."""
    account = await opened(kept)
    session_id = (await log_in(kept, account)).session_id
    for now, idle_since in ((LATER, IDLE), (NOON, NOON)):
        assert await kept.store.rotate(session_id, b"t0", b"t1", now, idle_since) is None
        assert await kept.store.living(session_id, now, idle_since) is None
        assert await kept.store.sessions(account.user_id, now, idle_since, 9) == []
    assert await kept.store.repeat(session_id, b"t0", NOON, LATER) is None


async def test_only_its_owner_ends_a_session(kept: Kept) -> None:
    """A session named with another user stays; without a user it ends; all end at once."""
    account, other = await opened(kept), await opened(kept, "bob@example.com")
    one, _, bobs = await log_in(kept, account), await log_in(kept, account), await log_in(kept, other)
    assert not await kept.store.end_session(one.session_id, other.user_id)
    assert [await kept.store.end_session(one.session_id), await kept.store.end_session(one.session_id)] == [True, False]
    assert await kept.store.end_sessions(account.user_id) == 1
    assert await living(kept, bobs)


async def test_the_oldest_session_makes_room(kept: Kept) -> None:
    """One session more than the bound ends the oldest; the others are listed, newest first."""
    account = await opened(kept)
    made = [await log_in(kept, account, most=2, at=at) for at in (1, 2, 3)]
    assert await kept.store.sessions(account.user_id, NOON, IDLE, 9) == [made[2], made[1]]
    assert await kept.store.sessions(account.user_id, NOON, IDLE, 1) == [made[2]]


async def test_a_code_counts_once(kept: Kept) -> None:
    """A step is used once and no earlier one after it; a recovery code is used once."""
    account = await enrolled(kept, await opened(kept))
    assert [await kept.store.use_step(account.user_id, step) for step in (7, 7, 6, 8)] == [True, False, False, True]
    assert [await kept.store.use_code(account.user_id, code) for code in (b"one", b"one", b"x")] == [True, False, False]


async def test_a_second_factor_is_switched_on_once(kept: Kept) -> None:
    """A seed counts once confirmed; a confirmed one is not replaced, and another one is not confirmed."""
    account = await opened(kept)
    assert not await kept.store.confirm_totp(account, [b"one"], *told(mail(MailKind.TOTP_ENABLED)))
    assert await kept.store.put_totp(account.user_id, b"old")
    stale = replace(account, totp_seed=b"older")
    assert not await kept.store.confirm_totp(stale, [b"one"], *told(mail(MailKind.TOTP_ENABLED)))
    on = await enrolled(kept, account)
    assert not await kept.store.put_totp(account.user_id, b"new")
    assert not await kept.store.confirm_totp(on, [b"one"], *told(mail(MailKind.TOTP_ENABLED)))


async def test_switching_off_forgets_codes_but_not_steps(kept: Kept) -> None:
    """Without a second factor no code counts; a code used before stays used for the next device."""
    account = await enrolled(kept, await opened(kept))
    await kept.store.use_step(account.user_id, 7)
    changed = replace(account, password_hash="other")
    assert not await kept.store.drop_totp(changed, *told(mail(MailKind.TOTP_DISABLED)))
    assert await kept.store.drop_totp(account, *told(mail(MailKind.TOTP_DISABLED)))
    assert not await kept.store.drop_totp(account, *told(mail(MailKind.TOTP_DISABLED)))
    assert not await kept.store.use_code(account.user_id, b"one")
    assert not await kept.store.use_step(account.user_id, 7)


async def test_new_codes_replace_the_old(kept: Kept) -> None:
    """New recovery codes end the old ones; without that second factor there are none."""
    account = await enrolled(kept, await opened(kept))
    assert await kept.store.replace_codes(account, [b"new"], *told(mail(MailKind.RECOVERY_CODES_REPLACED)))
    assert [await kept.store.use_code(account.user_id, code) for code in (b"one", b"new")] == [False, True]
    other = replace(account, totp_seed=b"other")
    assert not await kept.store.replace_codes(other, [b"x"], *told(mail(MailKind.RECOVERY_CODES_REPLACED)))


async def test_somebody_administers(kept: Kept) -> None:
    """Roles change by version, with an event each; the last administrator stays one."""
    ada, bob = await opened(kept), await opened(kept, "bob@example.com")
    assert await set_roles(kept, ada, ADMINISTRATORS)
    assert not await set_roles(kept, ada, frozenset())
    ada = replace(ada, version=2)
    assert not await set_roles(kept, ada, frozenset())
    assert await set_roles(kept, bob, ADMINISTRATORS)
    assert await kept.store.administrators() == 2
    assert await set_roles(kept, ada, frozenset())
    assert (RolesChanged.type, "account", ada.user_id, 3) in await kept.announced()


async def set_roles(kept: Kept, account: Account, roles: frozenset[str]) -> bool:
    return await kept.store.set_roles(account, roles, RolesChanged.of(CALLER, account, roles))
