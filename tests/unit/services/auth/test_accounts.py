"""Passwords, and what nobody learns from trying addresses."""

from __future__ import annotations

import asyncio
from contextlib import closing

import pytest

from mesh.model import Exhausted, UserId
from services.auth.common import common_passwords
from services.auth.domain import passwords
from services.auth.domain.contacts import Contacts
from services.auth.domain.entities import Mail, MailKind
from services.auth.domain.errors import AccountNotFound, BadCredentials, BadToken, MailNotFound, WeakPassword
from services.auth.domain.refresh import mailed_token
from services.auth.hashing import MEMORY_KIB, WAITING, Argon2
from services.auth.sealing import AesBox
from tests.unit.services.auth.conftest import ADA, KEY, NOBODY, PASSWORD, World

COMMON = common_passwords()


@pytest.mark.parametrize(
    ("password", "second_factor"),
    [
        ("a door of blue", False),
        ("blue-gl", True),
        ("password", True),
        ("aaaaaaaaaaaaaaaaaaaa", False),
        ("12345678", True),
    ],
)
def test_weak_passwords_are_refused(password: str, second_factor: bool) -> None:
    """Too short, common, repeated or in sequence is refused, naming the field."""
    with pytest.raises(WeakPassword) as refusal:
        passwords.check(password, ADA, second_factor, COMMON, "password")
    assert refusal.value.violations[0].field == "password"


@pytest.mark.parametrize(
    "password",
    ["a door of blue glass", "дверь из синего стекла", "jlxkqmvzrtpwnbs", "q8 Zxy vu lm op kr ae" * 6],
)
def test_no_rule_of_composition(password: str) -> None:
    """Any letters will do, and 64 characters and more are taken."""
    passwords.check(password, ADA, False, COMMON, "password")


async def test_nothing_is_cut_off() -> None:
    """Passwords that differ in their last of 200 characters are different."""
    with closing(Argon2("pepper", memory_kib=64)) as hasher:
        stored = await hasher.hash("x" * 199 + "a")
        assert [await hasher.verify(stored, "x" * 199 + last) for last in "ab"] == [True, False]


async def test_the_pepper_is_needed() -> None:
    """A hash is argon2id with OWASP's memory, and is nothing without the pepper."""
    with closing(Argon2("pepper")) as hasher, closing(Argon2("other", memory_kib=64)) as thief:
        stored = await hasher.hash(PASSWORD)
        assert stored.startswith(f"$argon2id$v=19$m={MEMORY_KIB},t=2,p=1$")
        assert not await thief.verify(stored, PASSWORD)


async def test_hashing_is_bounded() -> None:
    """More passwords at once than can be done in time are refused as Exhausted."""
    with closing(Argon2("pepper", memory_kib=64)) as hasher:
        done = await asyncio.gather(*(hasher.hash("x") for _ in range(WAITING + 5)), return_exceptions=True)
        assert sum(isinstance(one, Exhausted) for one in done) == 5


async def test_a_weaker_hash_is_replaced_at_log_in(world: World) -> None:
    """When parameters rise, a log-in replaces the hash."""
    await world.sign_up()
    before = await world.store.account_of(ADA)
    world.hasher._hasher = Argon2("pepper", memory_kib=128)._hasher
    assert await world.log_in()
    after = await world.store.account_of(ADA)
    assert before is not None
    assert after is not None
    assert "m=64," in before.password_hash
    assert "m=128," in after.password_hash
    assert await world.log_in()


async def test_an_unknown_address_costs_the_same(world: World) -> None:
    """Log-in and sign-up answer alike and do the same work whether or not the address has an account."""
    await world.sign_up()
    for email in (ADA, "bob@example.com"):
        before, events = world.hasher.work, len(world.store.events)
        with pytest.raises(BadCredentials, match="Address or password is wrong"):
            await world.sessions.log_in(NOBODY, email, "wrong", "")
        await world.accounts.sign_up(NOBODY, email)
        await world.accounts.request_reset(NOBODY, email)
        assert (world.hasher.work - before, len(world.store.events) - events) == (1, 2)


async def test_an_unverified_address_does_not_log_in(world: World) -> None:
    """An account is usable once its address is verified, and its token expires."""
    await world.accounts.sign_up(NOBODY, ADA)
    with pytest.raises(BadCredentials):
        await world.log_in()
    world.wait(days=1)
    for token in (world.mailed(MailKind.VERIFY), "mail_x.made-up"):
        with pytest.raises(BadToken):
            await world.accounts.verify_email(NOBODY, token, PASSWORD)


async def test_a_weak_password_costs_no_token(world: World) -> None:
    """A weak password is refused, naming the field, and the same token opens the account with a better one."""
    await world.accounts.sign_up(NOBODY, ADA)
    token = world.mailed(MailKind.VERIFY)
    with pytest.raises(WeakPassword) as refusal:
        await world.accounts.verify_email(NOBODY, token, "ada" * 9)
    assert refusal.value.violations[0].field == "password"
    await world.accounts.verify_email(NOBODY, token, PASSWORD)
    assert await world.log_in()


async def test_a_made_up_token_costs_no_hash(world: World) -> None:
    """Whoever has no mail makes nobody hash a password."""
    with pytest.raises(BadToken):
        await world.accounts.verify_email(NOBODY, mailed_token(KEY, "mail_unknown"), PASSWORD)
    assert world.hasher.work == 0


async def test_a_mail_has_its_token_whenever_it_is_asked_for(world: World) -> None:
    """The token is made from the mail's id and stored nowhere; who has an account is told, a notice has no token."""
    contacts = Contacts(world.store, KEY)
    await world.accounts.sign_up(NOBODY, ADA)
    mail: Mail = next(iter(world.store.mails.values()))
    once, again = await contacts.letter(mail.mail_id), await contacts.letter(mail.mail_id)
    assert once == again
    assert (once.user_id, once.token) == ("", mailed_token(KEY, mail.mail_id))
    assert once.token not in repr(vars(world.store))
    user_id = await world.accounts.verify_email(NOBODY, once.token, PASSWORD)
    await world.accounts.sign_up(NOBODY, ADA)
    notice = await contacts.letter([*world.store.mails][-1])
    assert (notice.mail.kind, notice.user_id, notice.token) == (MailKind.ALREADY_REGISTERED, user_id, "")
    assert (await contacts.contact(user_id)).email == ADA


async def test_a_mail_to_nobody_is_not_found(world: World) -> None:
    """A reset of a stranger is asked for like any other, and there is nobody to send it to."""
    contacts = Contacts(world.store, KEY)
    await world.accounts.request_reset(NOBODY, "bob@example.com")
    for mail_id in (*world.store.mails, "mail_unknown"):
        with pytest.raises(MailNotFound):
            await contacts.letter(mail_id)
    with pytest.raises(AccountNotFound):
        await contacts.contact(UserId("user_unknown"))


def test_what_is_sealed_opens_for_its_purpose_alone() -> None:
    """Sealed bytes open unchanged with the same key for the same purpose, and otherwise not at all."""
    sealed = AesBox("key").seal(b"seed", "ada")
    assert AesBox("key").open(sealed, "ada") == b"seed"
    for box, text, purpose in (("key", sealed, "bob"), ("other", sealed, "ada"), ("key", sealed[:-1] + b"x", "ada")):
        with pytest.raises(ValueError, match="cannot be opened"):
            AesBox(box).open(text, purpose)
