"""What every store of API keys promises; run against PostgreSQL and against the fake."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

from mesh.model import SessionId, UserId, new_id
from services.auth.domain.api_keys import Acting, ApiKey
from services.auth.domain.entities import Account, MailKind, Session
from services.auth.domain.membership import MANAGER, MEMBER, OWNER
from tests.contract.auth.stores import Kept
from tests.contract.auth.test_organisations import change, founded, join, roster
from tests.contract.auth.test_store import ADMINISTRATORS, LATER, NOON, log_in, mail, opened, set_roles, told

BOB = "bob@example.com"
SECOND = timedelta(seconds=1)


def new_key(account: Account, at: float | None = None) -> ApiKey:
    return ApiKey(
        api_key_id=new_id("apikey", at),
        user_id=account.user_id,
        organisation_id=account.organisation_id,
        name="nightly export",
        scopes=("billing.read", "users.read"),
        secret_hash=b"1" * 32,
        create_time=NOON,
        expire_time=LATER,
    )


async def put(kept: Kept, session: Session, key: ApiKey, most: int = 9) -> bool:
    return await kept.api_keys.put_api_key(key, session.session_id, most, *told(mail(MailKind.API_KEY_CREATED)))


async def put_new(kept: Kept, account: Account) -> ApiKey:
    key = new_key(account)
    assert await put(kept, await log_in(kept, account), key)
    return key


async def rotate(kept: Kept, old: ApiKey, secret_hash: bytes) -> bool:
    new = old.rotated(secret_hash, timedelta(minutes=5), old.expire_time, NOON)
    return await kept.api_keys.rotate_api_key(old, new, *told(mail(MailKind.API_KEY_ROTATED)))


async def test_a_key_is_kept_and_announced(kept: Kept) -> None:
    """What was put is found by its owner, oldest first, until it expires, and each has a mail that tells of it."""
    account = await opened(kept)
    session = await log_in(kept, account)
    first, second = new_key(account, at=1), replace(new_key(account, at=2), expire_time=LATER + SECOND)
    notice, event = told(mail(MailKind.API_KEY_CREATED))
    assert await kept.api_keys.put_api_key(first, session.session_id, 9, notice, event)
    assert await put(kept, session, second)
    assert await kept.api_keys.api_keys(account.user_id, NOON) == [first, second]
    assert await kept.api_keys.api_keys(account.user_id, LATER) == [second]
    assert await kept.store.mail(notice.mail_id) == notice
    assert (event.type, "mail", notice.mail_id, 1) in await kept.announced()


async def test_a_key_acts_with_its_owner_s_roles(kept: Kept) -> None:
    """Those that the owner holds now, until the key expires; none acts that is not there."""
    account = await opened(kept)
    key = await put_new(kept, account)
    assert await kept.api_keys.acting(key.api_key_id, NOON) == Acting(key, frozenset({OWNER}))
    assert await set_roles(kept, account, ADMINISTRATORS)
    assert await kept.api_keys.acting(key.api_key_id, NOON) == Acting(key, ADMINISTRATORS | {OWNER})
    assert await kept.api_keys.acting(key.api_key_id, LATER) is None
    assert await kept.api_keys.acting(new_id("apikey"), NOON) is None


async def test_a_key_acts_while_its_owner_is_in_the_organisation(kept: Kept) -> None:
    """With the role held there now, and not once they have left; it is in their list all the same."""
    ada, bob = await opened(kept), await opened(kept, BOB)
    there = await founded(kept, ada)
    key = replace(new_key(bob), organisation_id=there)
    assert await put(kept, await log_in(kept, bob), key)
    assert await kept.api_keys.acting(key.api_key_id, NOON) is None
    for role in (MEMBER, MANAGER):
        await join(kept, there, bob, role)
        assert await kept.api_keys.acting(key.api_key_id, NOON) == Acting(key, frozenset({role}))
        assert await change(kept, (await roster(kept, there)).without(bob.user_id), bob)
        assert await kept.api_keys.acting(key.api_key_id, NOON) is None
    assert await kept.api_keys.api_keys(bob.user_id, NOON) == [key]


async def test_a_key_needs_a_living_session_of_its_owner(kept: Kept) -> None:
    """Nothing is put by a session that ended or is somebody else's, and nothing is announced."""
    account = await opened(kept)
    ended, others = await log_in(kept, account), await log_in(kept, await opened(kept, BOB))
    await kept.store.end_session(ended.session_id)
    before = await kept.announced()
    for session in (ended, others, replace(ended, session_id=SessionId(new_id("session")))):
        assert not await put(kept, session, new_key(account))
    assert await kept.api_keys.api_keys(account.user_id, NOON) == []
    assert await kept.announced() == before


async def test_an_account_has_so_many_keys(kept: Kept) -> None:
    """Of more keys at once than an account may have, only so many are put; one that has expired does not count."""
    account = await opened(kept)
    session = await log_in(kept, account)
    assert await put(kept, session, replace(new_key(account), expire_time=NOON))
    puts = [put(kept, session, new_key(account), most=2) for _ in range(5)]
    assert sum(await asyncio.gather(*puts)) == 2


async def test_a_rotation_replaces_the_secret_that_it_knows(kept: Kept) -> None:
    """The old secret stays beside the new one; whoever rotates what was rotated before changes nothing."""
    key = await put_new(kept, await opened(kept))
    await kept.api_keys.note_use(key.api_key_id, NOON, NOON - SECOND)
    before = len(await kept.announced())
    assert await rotate(kept, key, b"2" * 32)
    assert not await rotate(kept, key, b"3" * 32)
    found = await kept.api_keys.acting(key.api_key_id, NOON)
    assert found is not None
    assert (found.key.secret_hash, found.key.previous_hash) == (b"2" * 32, b"1" * 32)
    assert (found.key.previous_expire_time, found.key.use_time) == (NOON + timedelta(minutes=5), NOON)
    assert len(await kept.announced()) == before + 1


async def test_uses_are_noted_so_often(kept: Kept) -> None:
    """A use is written down unless one was since; that of a key that is gone is nothing."""
    key = await put_new(kept, await opened(kept))
    noted = []
    for seconds in (0, 30, 60):
        now = NOON + timedelta(seconds=seconds)
        await kept.api_keys.note_use(key.api_key_id, now, now - timedelta(minutes=1))
        found = await kept.api_keys.acting(key.api_key_id, NOON)
        noted.append(found and found.key.use_time)
    assert noted == [NOON, NOON, NOON + timedelta(minutes=1)]
    await kept.api_keys.note_use(new_id("apikey"), NOON, NOON)


async def test_a_key_is_dropped_by_its_owner(kept: Kept) -> None:
    """Once, and by nobody else; it is rotated no more."""
    account = await opened(kept)
    key, bob = await put_new(kept, account), UserId(new_id("user"))
    dropped = [await kept.api_keys.drop_api_key(key.api_key_id, who) for who in (bob, account.user_id, account.user_id)]
    assert dropped == [False, True, False]
    assert not await rotate(kept, key, b"2" * 32)


async def test_keys_end_with_a_reset_and_with_nothing_else(kept: Kept) -> None:
    """A reset of the password takes the keys of that account; a change of it and the end of all sessions do not."""
    account, bob = await opened(kept), await opened(kept, BOB)
    keys = [await put_new(kept, one) for one in (account, bob)]
    await kept.store.end_sessions(account.user_id)
    changed = replace(account, password_hash="new")
    notice = told(mail(MailKind.PASSWORD_CHANGED))
    assert await kept.store.set_password(account, changed, SessionId(""), *notice)
    assert await kept.api_keys.api_keys(account.user_id, NOON) == keys[:1]
    asked, notice = told(mail(MailKind.RESET)), told(mail(MailKind.PASSWORD_CHANGED))
    await kept.store.request_reset(asked[0], LATER, asked[1])
    assert await kept.store.reset_password(asked[0].mail_id, changed, account, NOON, *notice)
    assert await kept.api_keys.api_keys(account.user_id, NOON) == []
    assert await kept.api_keys.api_keys(bob.user_id, NOON) == keys[1:]
