"""What every store of passkeys promises; run against PostgreSQL and against the fake."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from mesh.model import SessionId, UserId, new_id
from services.auth.domain.entities import Account, MailKind, Session
from services.auth.domain.passkeys import Passkey
from tests.contract.auth.stores import Kept
from tests.contract.auth.test_store import LATER, NOON, log_in, mail, opened, told

BOB = "bob@example.com"
CHALLENGE = b"c" * 32


def new_passkey(account: Account, credential: bytes = b"one", sign_count: int = 0, at: float | None = None) -> Passkey:
    return Passkey(
        passkey_id=new_id("passkey", at),
        user_id=account.user_id,
        name="phone",
        credential_id=credential,
        public_key=b"key",
        sign_count=sign_count,
        backed_up=False,
        create_time=NOON,
    )


async def put(kept: Kept, session: Session, passkey: Passkey, most: int = 9) -> bool:
    notice = told(mail(MailKind.PASSKEY_ADDED))
    return await kept.passkeys.put_passkey(passkey, session.session_id, most, *notice)


async def test_a_challenge_is_used_once(kept: Kept) -> None:
    """A stranger's challenge is closed once, before it expires, and by no session."""
    session = await log_in(kept, await opened(kept))
    assert await kept.passkeys.open_challenge(CHALLENGE, None, LATER)
    assert not await kept.passkeys.close_challenge(CHALLENGE, None, LATER)
    assert not await kept.passkeys.close_challenge(CHALLENGE, session.session_id, NOON)
    assert await kept.passkeys.close_challenge(CHALLENGE, None, NOON)
    assert not await kept.passkeys.close_challenge(CHALLENGE, None, NOON)


async def test_a_challenge_is_its_session_s(kept: Kept) -> None:
    """A session's challenge is closed by no stranger and by no other session, and is gone when the session ends."""
    account = await opened(kept)
    session, other = await log_in(kept, account), await log_in(kept, account)
    assert await kept.passkeys.open_challenge(CHALLENGE, session.session_id, LATER)
    assert not await kept.passkeys.close_challenge(CHALLENGE, None, NOON)
    assert not await kept.passkeys.close_challenge(CHALLENGE, other.session_id, NOON)
    await kept.store.end_session(session.session_id)
    assert not await kept.passkeys.close_challenge(CHALLENGE, session.session_id, NOON)
    assert not await kept.passkeys.open_challenge(b"d" * 32, session.session_id, LATER)


async def test_a_passkey_is_kept_and_announced(kept: Kept) -> None:
    """What was put is found by its credential and its owner, oldest first, and each has a mail that tells of it."""
    account = await opened(kept)
    session = await log_in(kept, account)
    first, second = new_passkey(account, at=1), new_passkey(account, b"two", at=2)
    notice, event = told(mail(MailKind.PASSKEY_ADDED))
    assert await kept.passkeys.put_passkey(first, session.session_id, 9, notice, event)
    assert await put(kept, session, second)
    assert await kept.passkeys.passkeys(account.user_id) == [first, second]
    assert await kept.passkeys.passkey_of(b"two") == second
    assert await kept.passkeys.passkey_of(b"three") is None
    assert await kept.store.mail(notice.mail_id) == notice
    assert (event.type, "mail", notice.mail_id, 1) in await kept.announced()


async def test_a_passkey_needs_a_living_session_of_its_owner(kept: Kept) -> None:
    """Nothing is put by a session that ended or is somebody else's, and nothing is announced."""
    account = await opened(kept)
    ended, others = await log_in(kept, account), await log_in(kept, await opened(kept, BOB))
    await kept.store.end_session(ended.session_id)
    before = await kept.announced()
    for session in (ended, others, replace(ended, session_id=SessionId(new_id("session")))):
        assert not await put(kept, session, new_passkey(account))
    assert await kept.passkeys.passkeys(account.user_id) == []
    assert await kept.announced() == before


async def test_a_credential_is_one_passkey_s(kept: Kept) -> None:
    """A credential that somebody has cannot be added again, by nobody."""
    account, bob = await opened(kept), await opened(kept, BOB)
    assert await put(kept, await log_in(kept, account), new_passkey(account))
    assert not await put(kept, await log_in(kept, bob), new_passkey(bob))
    assert await kept.passkeys.passkeys(bob.user_id) == []


async def test_an_account_has_so_many_passkeys(kept: Kept) -> None:
    """Of more passkeys at once than an account may have, only so many are put."""
    account = await opened(kept)
    session = await log_in(kept, account)
    puts = [put(kept, session, new_passkey(account, bytes([number])), most=2) for number in range(5)]
    assert sum(await asyncio.gather(*puts)) == 2


async def test_a_count_is_used_once(kept: Kept) -> None:
    """A use with the count of another one or an earlier one is refused, unless the device counts nothing."""
    account = await opened(kept)
    session = await log_in(kept, account)
    counting, not_counting = new_passkey(account, sign_count=4), new_passkey(account, b"two")
    assert await put(kept, session, counting) and await put(kept, session, not_counting)
    uses = [(counting, count) for count in (5, 5, 3, 0, 6)] + [(not_counting, 0), (not_counting, 0)]
    used = [await kept.passkeys.use_passkey(one.passkey_id, count, True, LATER) for one, count in uses]
    assert used == [True, False, False, False, True, True, True]
    expected = replace(counting, sign_count=6, backed_up=True, use_time=LATER)
    assert await kept.passkeys.passkey_of(b"one") == expected
    assert not await kept.passkeys.use_passkey(new_id("passkey"), 1, True, LATER)


async def test_a_passkey_is_its_owner_s(kept: Kept) -> None:
    """Only the owner renames and drops a passkey; a drop is announced, once."""
    account = await opened(kept)
    passkey, bob = new_passkey(account), UserId(new_id("user"))
    assert await put(kept, await log_in(kept, account), passkey)
    renamed = replace(passkey, name="old phone")
    assert await kept.passkeys.rename_passkey(passkey.passkey_id, bob, "mine") is None
    assert await kept.passkeys.rename_passkey(passkey.passkey_id, account.user_id, "old phone") == renamed
    notice, event = told(mail(MailKind.PASSKEY_REMOVED))
    dropped = [
        await kept.passkeys.drop_passkey(passkey.passkey_id, who, notice, event)
        for who in (bob, account.user_id, account.user_id)
    ]
    assert dropped == [False, True, False]
    assert await kept.passkeys.passkey_of(b"one") is None
    assert [one[2] for one in await kept.announced()].count(notice.mail_id) == 1
