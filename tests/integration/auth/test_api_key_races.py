"""Two at once with API keys: whoever loses has changed nothing, and has no key that is good for nothing."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from infra.postgres import Database
from mesh.model import Caller, new_id
from services.auth import api_keys_store
from services.auth.api_keys_store import PostgresApiKeys
from services.auth.domain.api_keys import ApiKey
from services.auth.domain.entities import Account, Mail, MailKind, MailRequested, Session
from services.auth.store import PostgresStore, sql
from tests.integration.auth.test_races import account, apart, arrival, reset, session

NOW = datetime.now(UTC)
AT_ONCE = 8


@pytest.fixture
def store(database: Database) -> PostgresStore:
    return PostgresStore(database)


@pytest.fixture
def api_keys(database: Database) -> PostgresApiKeys:
    return PostgresApiKeys(database)


def api_key(of: Account) -> ApiKey:
    return ApiKey(
        api_key_id=new_id("apikey"),
        user_id=of.user_id,
        organisation_id=of.organisation_id,
        name="nightly export",
        scopes=("billing.read",),
        secret_hash=bytes(32),
        create_time=NOW,
        expire_time=NOW + timedelta(days=1),
    )


def told(of: Account, kind: MailKind) -> tuple[Mail, MailRequested]:
    notice = Mail(mail_id=new_id("mail"), kind=kind, email=of.email, create_time=NOW)
    return notice, MailRequested.of(Caller("gateway"), notice)


async def put(api_keys: PostgresApiKeys, of: Account, by: Session, one: ApiKey) -> bool:
    return await api_keys.put_api_key(one, by.session_id, 9, *told(of, MailKind.API_KEY_CREATED))


async def rotate(api_keys: PostgresApiKeys, of: Account, old: ApiKey, secret_hash: bytes) -> bool:
    new = old.rotated(secret_hash, timedelta(hours=1), old.expire_time, NOW)
    return await api_keys.rotate_api_key(old, new, *told(of, MailKind.API_KEY_ROTATED))


async def made(store: PostgresStore, api_keys: PostgresApiKeys) -> tuple[Account, ApiKey]:
    ada = await account(store)
    begun = session(ada)
    assert await store.put_session(begun, ada, b"t", 9, arrival(ada))
    one = api_key(ada)
    assert await put(api_keys, ada, begun, one)
    return ada, one


async def test_one_of_many_rotations_wins(store: PostgresStore, api_keys: PostgresApiKeys) -> None:
    """Of many at once one has the new secret, beside which the old one is good; the others are told that they lost."""
    ada, one = await made(store, api_keys)
    hashes = [bytes([number]) * 32 for number in range(1, AT_ONCE + 1)]
    done = await asyncio.gather(*(rotate(api_keys, ada, one, each) for each in hashes))
    assert sum(done) == 1
    found = await api_keys.acting(one.api_key_id, NOW)
    assert found is not None
    assert (found.key.secret_hash, found.key.previous_hash) == (hashes[done.index(True)], one.secret_hash)


async def test_a_rotation_that_waits_for_a_revocation_makes_nothing(
    store: PostgresStore, api_keys: PostgresApiKeys
) -> None:
    """Whoever rotates a key while it is revoked gets no new secret, and its owner no mail about one."""
    ada, one = await made(store, api_keys)
    async with store.database.transaction() as connection:
        assert await api_keys.drop_api_key(one.api_key_id, ada.user_id)
        waiting = apart(rotate(api_keys, ada, one, b"2" * 32))
        await asyncio.sleep(0.1)
        assert not waiting.done()
    assert await waiting is False
    async with store.database.connection() as connection:
        assert not await connection.fetchval("SELECT count(*) FROM mails WHERE kind = 'api_key_rotated'")


async def test_a_use_that_waits_for_a_revocation_brings_nothing_back(
    store: PostgresStore, api_keys: PostgresApiKeys
) -> None:
    """An exchange beside a revocation is before it or fails: a key that is gone stays gone."""
    ada, one = await made(store, api_keys)
    async with store.database.transaction():
        assert await api_keys.drop_api_key(one.api_key_id, ada.user_id)
        seen = await apart(_lives(api_keys, one))
        noting = apart(_noted(api_keys, one))
        await asyncio.sleep(0.1)
        assert seen and not noting.done()
    await noting
    assert not await _lives(api_keys, one)


async def _lives(api_keys: PostgresApiKeys, one: ApiKey) -> bool:
    return await api_keys.acting(one.api_key_id, NOW) is not None


async def _noted(api_keys: PostgresApiKeys, one: ApiKey) -> bool:
    await api_keys.note_use(one.api_key_id, NOW, NOW)
    return True


async def test_a_key_that_waits_for_a_reset_is_not_made(store: PostgresStore, api_keys: PostgresApiKeys) -> None:
    """Whoever is put out by a new password while a key of theirs is being made has none afterwards."""
    ada = await account(store)
    begun = session(ada)
    assert await store.put_session(begun, ada, b"t", 9, arrival(ada))
    async with store.database.transaction() as connection:
        await sql.lock_account(connection, user_id=ada.user_id)
        waiting = apart(put(api_keys, ada, begun, api_key(ada)))
        await asyncio.sleep(0.1)
        assert not waiting.done()
        assert await reset(store, ada)
    assert await waiting is False
    assert await api_keys.api_keys(ada.user_id, NOW) == []


async def test_a_reset_takes_a_key_that_was_made_beside_it(store: PostgresStore, api_keys: PostgresApiKeys) -> None:
    """A key that was being put when the reset came goes with all the others."""
    ada = await account(store)
    begun = session(ada)
    assert await store.put_session(begun, ada, b"t", 9, arrival(ada))
    async with store.database.transaction():
        assert await put(api_keys, ada, begun, api_key(ada))
        resetting = apart(reset(store, ada))
        await asyncio.sleep(0.1)
        assert not resetting.done()
    assert await resetting
    assert await api_keys.api_keys(ada.user_id, NOW) == []


async def test_a_rotation_that_waits_for_a_reset_makes_nothing(store: PostgresStore, api_keys: PostgresApiKeys) -> None:
    """The same of whoever was rotating one."""
    ada, one = await made(store, api_keys)
    async with store.database.transaction():
        assert await reset(store, ada)
        waiting = apart(rotate(api_keys, ada, one, b"2" * 32))
        await asyncio.sleep(0.1)
        assert not waiting.done()
    assert await waiting is False


async def test_what_has_expired_is_cleaned_away(
    store: PostgresStore, api_keys: PostgresApiKeys, database: Database
) -> None:
    """Keys go with the next cleaning after their end, and no others."""
    ada, one = await made(store, api_keys)
    begun = session(ada)
    assert await store.put_session(begun, ada, b"u", 9, arrival(ada))
    assert await put(api_keys, ada, begun, replace(api_key(ada), expire_time=NOW - timedelta(seconds=1)))
    async with database.connection() as connection:
        assert [await api_keys_store.sql.clean(connection, now=NOW, batch=9) for _ in range(2)] == [1, 0]
    assert await _lives(api_keys, one)


async def test_a_key_that_is_prolonged_just_then_is_not_cleaned_away(
    store: PostgresStore, api_keys: PostgresApiKeys
) -> None:
    """A rotation that gives a key a new end as the old one comes is not undone by a cleaning that waited for it."""
    ada, one = await made(store, api_keys)

    async def clean() -> int:
        async with store.database.connection() as connection:
            now = one.expire_time + timedelta(seconds=1)
            return int(await api_keys_store.sql.clean(connection, now=now, batch=9))

    async with store.database.transaction():
        new = one.rotated(b"2" * 32, timedelta(), one.expire_time + timedelta(days=1), NOW)
        assert await api_keys.rotate_api_key(one, new, *told(ada, MailKind.API_KEY_ROTATED))
        cleaning = apart(clean())
        await asyncio.sleep(0.1)
        assert not cleaning.done()
    assert await cleaning == 0
    assert await _lives(api_keys, one)
