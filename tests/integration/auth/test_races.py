"""Two at once on one account: whoever loses has changed nothing."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Coroutine
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import pytest

from infra.postgres import Database
from mesh.model import ADMINISTRATOR, Caller, OrganisationId, SessionId, UserId, new_id
from services.auth.domain.devices import Arrival
from services.auth.domain.entities import Account, AccountCreated, Mail, MailKind, MailRequested, RolesChanged, Session
from services.auth.store import PostgresStore, sql

NOW = datetime.now(UTC)
LONG_AGO = NOW - timedelta(days=200)
LATER = NOW + timedelta(days=1)
CALLER = Caller("gateway")
T = TypeVar("T")


@pytest.fixture
def store(database: Database) -> PostgresStore:
    return PostgresStore(database)


def mail(kind: MailKind, email: str) -> Mail:
    return Mail(mail_id=new_id("mail"), kind=kind, email=email, create_time=NOW)


async def account(store: PostgresStore, email: str = "ada@example.com") -> Account:
    asked = mail(MailKind.VERIFY, email)
    await store.sign_up(asked, LATER, MailRequested.of(CALLER, asked))
    new = Account(
        user_id=UserId(new_id("user")),
        organisation_id=OrganisationId(new_id("organisation")),
        email=email,
        password_hash="hash",
        password_length=20,
        create_time=NOW,
    )
    assert await store.open_account(asked.mail_id, new, NOW, AccountCreated.of(CALLER, new))
    return new


def session(of: Account) -> Session:
    return Session(
        session_id=SessionId(new_id("session")),
        user_id=of.user_id,
        device="phone",
        create_time=NOW,
        refresh_time=NOW,
        expire_time=LATER,
    )


async def reset(store: PostgresStore, of: Account) -> bool:
    asked, notice = mail(MailKind.RESET, of.email), mail(MailKind.PASSWORD_CHANGED, of.email)
    await store.request_reset(asked, LATER, MailRequested.of(CALLER, asked))
    new = replace(of, password_hash="new")
    return await store.reset_password(asked.mail_id, of, new, NOW, notice, MailRequested.of(CALLER, notice))


def arrival(of: Account, device: bytes = b"phone") -> Arrival:
    notice = mail(MailKind.NEW_DEVICE, of.email)
    return Arrival(device_hash=device, most=30, notice=notice, event=MailRequested.of(CALLER, notice))


async def log_in(store: PostgresStore, of: Account, device: bytes = b"phone") -> bool:
    begun = replace(session(of), create_time=datetime.now(UTC))
    return await store.put_session(begun, of, b"t", 99, arrival(of, device))


async def notices(store: PostgresStore) -> list[int]:
    """How many mails tell of new devices, and how many of these are announced."""
    async with store.database.connection() as connection:
        mails = await connection.fetch("SELECT mail_id FROM mails WHERE kind = 'new_device'")
        announced = await connection.fetch("SELECT aggregate_id FROM outbox WHERE resource = 'mail'")
    wanted = {mail_id for (mail_id,) in mails}
    return [len(wanted), sum(mail_id in wanted for (mail_id,) in announced)]


def apart(work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """A task outside of the transaction that is open here."""
    return asyncio.get_running_loop().create_task(work, context=contextvars.Context())


async def test_a_log_in_that_waits_for_a_reset_does_not_begin(store: PostgresStore) -> None:
    """A session with the old password, put while a reset is being written, is not there afterwards."""
    ada = await account(store)
    async with store.database.transaction() as connection:
        await sql.lock_account(connection, user_id=ada.user_id)
        waiting = apart(log_in(store, ada))
        await asyncio.sleep(0.1)
        assert not waiting.done()
        assert await reset(store, ada)
    assert await waiting is False
    assert await store.sessions(ada.user_id, NOW, NOW - timedelta(days=1), 9) == []


async def test_a_reset_ends_a_session_that_began_beside_it(store: PostgresStore) -> None:
    """A session that was being put when the reset came ends with all the others."""
    ada = await account(store)
    async with store.database.transaction():
        assert await log_in(store, ada)
        resetting = apart(reset(store, ada))
        await asyncio.sleep(0.1)
        assert not resetting.done()
    assert await resetting
    assert await store.sessions(ada.user_id, NOW, NOW - timedelta(days=1), 9) == []


async def test_two_log_ins_from_a_new_device_are_told_of_once(store: PostgresStore) -> None:
    """The later one waits for the earlier, and finds its device known."""
    ada = await account(store)
    assert await log_in(store, ada)
    async with store.database.transaction():
        assert await log_in(store, ada, b"laptop")
        waiting = apart(log_in(store, ada, b"laptop"))
        await asyncio.sleep(0.1)
        assert not waiting.done()
    assert await waiting
    assert await notices(store) == [1, 1]
    assert len(await store.sessions(ada.user_id, NOW, NOW - timedelta(days=1), 9)) == 3


async def test_many_log_ins_at_once_are_told_of_once_for_each_device(store: PostgresStore) -> None:
    """However many come together from however many devices, all begin and none is in another's way."""
    ada = await account(store)
    assert await log_in(store, ada)
    for count in range(1, 11):
        new = [f"{count}/{number}".encode() for number in range(4)] * 3
        begun = await asyncio.gather(*(apart(log_in(store, ada, device)) for device in new))
        assert begun == [True] * len(new)
        assert await notices(store) == [4 * count] * 2


async def test_a_log_in_that_is_undone_has_told_nobody(store: PostgresStore) -> None:
    """Session, device, mail and announcement are committed together or not at all; the next one is told of."""
    ada = await account(store)
    assert await log_in(store, ada)
    with pytest.raises(ZeroDivisionError):
        async with store.database.transaction():
            assert await log_in(store, ada, b"laptop")
            raise ZeroDivisionError
    assert await notices(store) == [0, 0]
    assert await log_in(store, ada, b"laptop")
    assert await notices(store) == [1, 1]


async def test_a_device_that_is_not_used_is_forgotten(store: PostgresStore) -> None:
    """What was used lately stays; an account that forgets its last device is still told of the next."""
    ada, bob = await account(store), await account(store, "bob@example.com")
    for one in (ada, bob):
        assert await log_in(store, one)
    async with store.database.connection() as connection:
        await connection.execute("UPDATE devices SET use_time = $1 WHERE user_id = $2", LONG_AGO, ada.user_id)
        before = NOW - timedelta(days=1)
        cleaned = [await sql.clean_devices(connection, before=before, batch=9) for _ in range(2)]
    assert cleaned == [1, 0]
    assert await log_in(store, bob)
    assert await notices(store) == [0, 0]
    assert await log_in(store, ada)
    assert await notices(store) == [1, 1]


async def test_an_administrator_s_devices_are_forgotten_while_roles_change(store: PostgresStore) -> None:
    """Whoever is counted as an administrator just then is told of their next device like anybody else."""
    ada, bob = await account(store), await account(store, "bob@example.com")
    assert await log_in(store, ada)
    for one in (ada, bob):
        assert await _set(store, one, frozenset({ADMINISTRATOR}))
    found = await store.account(bob.user_id)
    assert found is not None

    async def clean() -> int:
        async with store.database.connection() as connection:
            return int(await sql.clean_devices(connection, before=LATER, batch=9))

    async with store.database.transaction():
        assert await _set(store, found, frozenset())
        assert await apart(clean()) == 1
    assert await log_in(store, ada, b"laptop")
    assert await notices(store) == [1, 1]


async def test_two_administrators_cannot_remove_each_other(store: PostgresStore) -> None:
    """However close together they do it, one of them stays."""
    ada, bob = await account(store), await account(store, "bob@example.com")
    for _ in range(20):
        for one in (ada, bob):
            now = await store.account(one.user_id)
            assert now is not None
            if ADMINISTRATOR not in now.roles:
                assert await _set(store, now, frozenset({ADMINISTRATOR}))
        both = [await store.account(one.user_id) for one in (ada, bob)]
        done = await asyncio.gather(*(_set(store, one, frozenset()) for one in both if one))
        assert sorted(done) == [False, True]
        assert await store.administrators() == 1


async def _set(store: PostgresStore, of: Account, roles: frozenset[str]) -> bool:
    return await store.set_roles(of, roles, RolesChanged.of(CALLER, of, roles))
