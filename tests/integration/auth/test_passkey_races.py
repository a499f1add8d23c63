"""Two at once with passkeys: whoever loses has changed nothing."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from infra.postgres import Database
from mesh.model import Caller, new_id
from services.auth import passkeys_store
from services.auth.domain.entities import Account, Mail, MailKind, MailRequested, Session
from services.auth.domain.passkeys import Passkey
from services.auth.passkeys_store import PostgresPasskeys
from services.auth.store import PostgresStore, sql
from tests.integration.auth.test_races import account, apart, arrival, reset, session

NOW = datetime.now(UTC)
CHALLENGE = b"c" * 32
AT_ONCE = 8


@pytest.fixture
def store(database: Database) -> PostgresStore:
    return PostgresStore(database)


@pytest.fixture
def passkeys(database: Database) -> PostgresPasskeys:
    return PostgresPasskeys(database)


def passkey(of: Account) -> Passkey:
    return Passkey(
        passkey_id=new_id("passkey"),
        user_id=of.user_id,
        name="phone",
        credential_id=new_id("credential").encode(),
        public_key=b"key",
        sign_count=1,
        backed_up=False,
        create_time=NOW,
    )


async def put(passkeys: PostgresPasskeys, of: Account, by: Session, one: Passkey) -> bool:
    notice = Mail(mail_id=new_id("mail"), kind=MailKind.PASSKEY_ADDED, email=of.email, create_time=NOW)
    return await passkeys.put_passkey(one, by.session_id, 9, notice, MailRequested.of(Caller("gateway"), notice))


async def logged_in(store: PostgresStore) -> tuple[Account, Session]:
    ada = await account(store)
    begun = session(ada)
    assert await store.put_session(begun, ada, b"t", 9, arrival(ada))
    return ada, begun


async def test_a_passkey_that_waits_for_a_reset_is_not_added(store: PostgresStore, passkeys: PostgresPasskeys) -> None:
    """Whoever is put out by a new password while a passkey of theirs is being added has none afterwards."""
    ada, begun = await logged_in(store)
    async with store.database.transaction() as connection:
        await sql.lock_account(connection, user_id=ada.user_id)
        waiting = apart(put(passkeys, ada, begun, passkey(ada)))
        await asyncio.sleep(0.1)
        assert not waiting.done()
        assert await reset(store, ada)
    assert await waiting is False
    assert await passkeys.passkeys(ada.user_id) == []


async def test_a_passkey_that_waits_for_the_end_of_its_session_is_not_added(
    store: PostgresStore, passkeys: PostgresPasskeys
) -> None:
    """The same of whoever is put out by the end of the session alone."""
    ada, begun = await logged_in(store)
    async with store.database.transaction():
        assert await store.end_session(begun.session_id)
        waiting = apart(put(passkeys, ada, begun, passkey(ada)))
        await asyncio.sleep(0.1)
        assert not waiting.done()
    assert await waiting is False
    assert await passkeys.passkeys(ada.user_id) == []


async def test_a_challenge_that_waits_for_the_end_of_its_session_is_not_opened(
    store: PostgresStore, passkeys: PostgresPasskeys
) -> None:
    """Whoever is put out while they show their password gets no options, and is told so."""
    _, begun = await logged_in(store)
    async with store.database.transaction():
        assert await store.end_session(begun.session_id)
        waiting = apart(passkeys.open_challenge(CHALLENGE, begun.session_id, NOW + timedelta(minutes=5)))
        await asyncio.sleep(0.1)
        assert not waiting.done()
    assert await waiting is False
    assert not await passkeys.open_challenge(CHALLENGE, begun.session_id, NOW + timedelta(minutes=5))


async def test_a_challenge_is_used_by_one_of_many(passkeys: PostgresPasskeys) -> None:
    """Of the same answer many times at once, one goes on."""
    await passkeys.open_challenge(CHALLENGE, None, NOW + timedelta(minutes=5))
    closed = await asyncio.gather(*(passkeys.close_challenge(CHALLENGE, None, NOW) for _ in range(AT_ONCE)))
    assert sum(closed) == 1


async def test_a_count_is_used_by_one_of_many(store: PostgresStore, passkeys: PostgresPasskeys) -> None:
    """Of a device and its copies that answer at once with one count, one goes on."""
    ada, begun = await logged_in(store)
    one = passkey(ada)
    assert await put(passkeys, ada, begun, one)
    used = await asyncio.gather(*(passkeys.use_passkey(one.passkey_id, 2, False, NOW) for _ in range(AT_ONCE)))
    assert sum(used) == 1


async def test_what_is_too_old_is_cleaned_away(passkeys: PostgresPasskeys, database: Database) -> None:
    """Challenges that nobody answered go with the next cleaning after their time, and no others."""
    await passkeys.open_challenge(CHALLENGE, None, NOW - timedelta(seconds=1))
    await passkeys.open_challenge(CHALLENGE[1:], None, NOW + timedelta(minutes=5))
    async with database.connection() as connection:
        assert [await passkeys_store.sql.clean(connection, now=NOW, batch=9) for _ in range(2)] == [1, 0]
    assert await passkeys.close_challenge(CHALLENGE[1:], None, NOW)
