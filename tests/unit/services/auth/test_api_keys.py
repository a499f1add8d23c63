"""API keys: only the right text opens one, only for what it was made for, only as long as it should."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from mesh.model import (
    ADMINISTRATOR,
    Caller,
    Conflict,
    OrganisationId,
    SessionId,
    User,
    UserId,
    new_id,
)
from services.auth.domain.api_keys import (
    DEFAULT_GRACE,
    LONGEST_LIFE,
    MOST_API_KEYS,
    NOTED_EVERY,
    ApiKeys,
)
from services.auth.domain.entities import MailKind
from services.auth.domain.errors import (
    ApiKeyNotFound,
    BadApiKey,
    BadCode,
    BadCredentials,
    BadExpireTime,
    MembershipEnded,
    SessionEnded,
    TooManyApiKeys,
    UnknownScope,
)
from services.auth.domain.membership import OWNER
from tests.unit.services.auth.conftest import PASSWORD, World

SECOND = timedelta(seconds=1)


@pytest.fixture
async def ada(world: World) -> Caller:
    await world.sign_up()
    return await world.caller()


async def rotated(world: World, ada: Caller, api_key_id: str, grace: timedelta | None = None) -> str:
    _, text = await world.api_keys.rotate(ada, api_key_id, grace, None, PASSWORD, "")
    return text


async def works(world: World, text: str) -> bool:
    try:
        await world.api_keys.exchange(text)
    except BadApiKey:
        return False
    return True


def altered(text: str) -> str:
    """The text with one character of the secret changed."""
    return text[:-5] + ("A" if text[-5] != "A" else "B") + text[-4:]


async def test_a_key_is_exchanged_for_a_token(world: World, ada: Caller) -> None:
    """For its owner, with their role in its organisation, its scopes, and without the roles that the platform gives."""
    user_id = ada.signed_in.user_id
    world.store.accounts[user_id] = replace(world.store.accounts[user_id], roles=frozenset({ADMINISTRATOR}))
    key, text = await world.make_key(ada, "users.read", "billing.read")
    token, life, organisation_id = await world.api_keys.exchange(text)
    assert token == f"{key.api_key_id} {user_id} ['owner'] ['billing.read', 'users.read']"
    assert (life, organisation_id) == (300, ada.signed_in.organisation_id)


async def test_the_text_is_kept_nowhere(world: World, ada: Caller) -> None:
    """What is stored tells nobody the secret, of which no two keys have the same."""
    (key, text), (_, other) = [await world.make_key(ada) for _ in range(2)]
    prefix, secret = text.split(".")
    assert prefix == f"tulle_{key.api_key_id}" and len(secret) == 43
    assert secret not in repr(world.store.api_keys) and secret not in other


async def test_only_the_whole_text_opens_a_key(world: World, ada: Caller) -> None:
    """Another key's secret, one character changed, a part, an id that is not there, and no key at all are refused."""
    (key, text), (_, other) = [await world.make_key(ada) for _ in range(2)]
    secret = text.partition(".")[2]
    wrong = (
        f"tulle_{key.api_key_id}.{other.partition('.')[2]}",
        altered(text),
        text[:-1],
        text + "A",
        f"tulle_{new_id('apikey')}.{secret}",
        f"{key.api_key_id}.{secret}",
        f"tulle_{key.api_key_id}.",
        f"tulle_{key.api_key_id}.{'A' * 43}",
        secret,
        "é" * 40,
        text + "\n",
    )
    assert [await works(world, one) for one in wrong] == [False] * len(wrong)
    assert await works(world, text)


async def test_making_and_rotating_need_the_password(world: World, ada: Caller) -> None:
    """A stolen access token alone makes no key and learns no secret; who has a second factor shows it too."""
    key, _ = await world.make_key(ada)
    with pytest.raises(BadCredentials):
        await world.api_keys.create(ada, "mine", ["users.read"], None, "not my password", "")
    with pytest.raises(BadCredentials):
        await world.api_keys.rotate(ada, key.api_key_id, None, None, "not my password", "")
    seed, _ = await world.enrol(ada)
    with pytest.raises(BadCode):
        await world.make_key(ada)
    with pytest.raises(BadCode):
        await rotated(world, ada, key.api_key_id)
    await world.api_keys.rotate(ada, key.api_key_id, None, None, PASSWORD, world.code(seed, 1))
    assert len(await world.api_keys.list_api_keys(ada)) == 1


async def test_scopes_are_those_of_the_contract(world: World, ada: Caller) -> None:
    """A scope that no method asks for is named, before a code is used up."""
    with pytest.raises(UnknownScope) as refused:
        await world.api_keys.create(ada, "mine", ["users.read", "users.everything"], None, "", "")
    (violation,) = refused.value.violations
    assert violation.field == "scopes[1]" and "billing.read" in violation.description


async def test_a_key_ends_within_a_year(world: World, ada: Caller) -> None:
    """In a year if nothing is said; not in the past, not later; and rotating it may prolong it as far again."""

    async def end(wanted: timedelta | None) -> timedelta:
        time = None if wanted is None else world.now + wanted
        key, _ = await world.api_keys.create(ada, "mine", ["users.read"], time, PASSWORD, "")
        return key.expire_time - world.now

    assert await end(None) == LONGEST_LIFE
    assert await end(LONGEST_LIFE) == LONGEST_LIFE
    assert await end(SECOND) == SECOND
    for wanted in (timedelta(), -SECOND, LONGEST_LIFE + SECOND):
        with pytest.raises(BadExpireTime):
            await end(wanted)
    key, _ = await world.make_key(ada)
    world.wait(days=300)
    ada = await world.caller()
    kept, _ = await world.api_keys.rotate(ada, key.api_key_id, None, None, PASSWORD, "")
    assert kept.expire_time == key.expire_time
    later, _ = await world.api_keys.rotate(ada, key.api_key_id, None, world.now + LONGEST_LIFE, PASSWORD, "")
    assert later.expire_time == world.now + LONGEST_LIFE
    with pytest.raises(BadExpireTime):
        await world.api_keys.rotate(ada, key.api_key_id, None, world.now, PASSWORD, "")


async def test_a_key_that_has_expired_opens_nothing(world: World, ada: Caller) -> None:
    """From its end on it is neither exchanged, nor living, nor listed, nor rotated."""
    end = world.now + timedelta(minutes=5)
    key, text = await world.api_keys.create(ada, "mine", ["users.read"], end, PASSWORD, "")
    world.wait(minutes=5, seconds=-1)
    assert await works(world, text)
    world.wait(seconds=1)
    assert not await works(world, text)
    with pytest.raises(SessionEnded):
        await world.credentials.living(SessionId(key.api_key_id))
    assert await world.api_keys.list_api_keys(ada) == []
    with pytest.raises(ApiKeyNotFound):
        await rotated(world, ada, key.api_key_id)


async def test_the_old_secret_stays_good_for_its_grace(world: World, ada: Caller) -> None:
    """For a day if nothing is said, for as long as is said otherwise, and not at all for none."""
    for grace, lasts in ((None, DEFAULT_GRACE), (timedelta(hours=1), timedelta(hours=1))):
        key, old = await world.make_key(ada)
        new = await rotated(world, ada, key.api_key_id, grace)
        begun = world.now
        world.now = begun + lasts - SECOND
        assert await works(world, old) and await works(world, new)
        world.now = begun + lasts
        assert not await works(world, old) and await works(world, new)
    key, old = await world.make_key(ada)
    new = await rotated(world, ada, key.api_key_id, timedelta())
    assert not await works(world, old) and await works(world, new)


async def test_a_second_rotation_ends_the_oldest_secret(world: World, ada: Caller) -> None:
    """Of three secrets within one grace the last two are good."""
    key, first = await world.make_key(ada)
    second = await rotated(world, ada, key.api_key_id)
    third = await rotated(world, ada, key.api_key_id)
    assert [await works(world, one) for one in (first, second, third)] == [False, True, True]


async def test_a_grace_that_has_run_out_is_not_shown(world: World, ada: Caller) -> None:
    """Until when the old secret is good stands in the list as long as it is."""
    key, _ = await world.make_key(ada)
    await rotated(world, ada, key.api_key_id, SECOND)
    ends = [one.previous_expire_time for one in await world.api_keys.list_api_keys(ada)]
    world.wait(seconds=1)
    ends += [one.previous_expire_time for one in await world.api_keys.list_api_keys(ada)]
    assert ends == [world.now, None]


async def test_what_was_rotated_meanwhile_is_not_rotated(world: World, ada: Caller) -> None:
    """The loser of two is told so, instead of getting a secret that is good for nothing."""
    key, _ = await world.make_key(ada)

    class Overtaken(ApiKeys):
        async def _own(self, caller: Caller, api_key_id: str) -> object:  # type: ignore[override]
            found = await super()._own(caller, api_key_id)
            await rotated(world, ada, api_key_id)
            return found

    old = world.api_keys
    overtaken = Overtaken(old.store, old.authentication, old.accounts, old.signer, old.known, old.now)
    with pytest.raises(Conflict):
        await overtaken.rotate(ada, key.api_key_id, None, None, PASSWORD, "")


async def test_a_revoked_key_is_gone_at_once(world: World, ada: Caller) -> None:
    """It is exchanged no more, and whoever asks whether it lives hears that it does not."""
    key, text = await world.make_key(ada)
    assert await world.credentials.living(SessionId(key.api_key_id))
    await world.api_keys.revoke(ada, key.api_key_id)
    assert not await works(world, text)
    with pytest.raises(SessionEnded):
        await world.credentials.living(SessionId(key.api_key_id))
    with pytest.raises(ApiKeyNotFound):
        await world.api_keys.revoke(ada, key.api_key_id)


async def test_keys_are_their_owner_s(world: World, ada: Caller) -> None:
    """Nobody else lists, rotates or revokes them."""
    key, text = await world.make_key(ada)
    bob = replace(ada, user=replace(ada.signed_in, user_id=UserId(new_id("user"))))
    assert await world.api_keys.list_api_keys(bob) == []
    with pytest.raises(ApiKeyNotFound):
        await rotated(world, bob, key.api_key_id)
    with pytest.raises(ApiKeyNotFound):
        await world.api_keys.revoke(bob, key.api_key_id)
    assert await works(world, text)


async def test_the_owner_is_told_by_mail(world: World, ada: Caller) -> None:
    """Of a key that was made and of one that was rotated."""
    key, _ = await world.make_key(ada)
    await rotated(world, ada, key.api_key_id)
    kinds = [mail.kind for mail in world.store.mails.values()]
    assert kinds[-2:] == [MailKind.API_KEY_CREATED, MailKind.API_KEY_ROTATED]


async def test_an_account_has_so_many_keys(world: World, ada: Caller) -> None:
    """One more is refused before a code is used up; one that is revoked makes room."""
    keys = [(await world.make_key(ada))[0] for _ in range(MOST_API_KEYS)]
    with pytest.raises(TooManyApiKeys):
        await world.api_keys.create(ada, "mine", ["users.read"], None, "", "")
    await world.api_keys.revoke(ada, keys[0].api_key_id)
    assert await world.make_key(ada)


async def test_uses_are_noted_to_the_minute(world: World, ada: Caller) -> None:
    """The first, and then one in a minute; a wrong secret is no use."""
    _, text = await world.make_key(ada)
    begun = world.now
    await works(world, altered(text))
    noted = [(await world.api_keys.list_api_keys(ada))[0].use_time]
    for wait in (0, 59, 1):
        world.wait(seconds=wait)
        await works(world, text)
        noted.append((await world.api_keys.list_api_keys(ada))[0].use_time)
    assert noted == [None, begun, begun, begun + NOTED_EVERY]


async def test_a_session_s_end_ends_no_key(world: World, ada: Caller) -> None:
    """Programs go on while people log out."""
    _, text = await world.make_key(ada)
    assert await world.sessions.revoke_all(ada)
    assert await works(world, text)


async def test_a_reset_revokes_keys_and_a_change_does_not(world: World, ada: Caller) -> None:
    """Whoever resets a password may have had a visitor, who may have made a key."""
    _, text = await world.make_key(ada)
    await world.accounts.change_password(ada, PASSWORD, "another door of glass", "")
    assert await works(world, text)
    await world.accounts.request_reset(Caller("gateway"), "ada@example.com")
    await world.accounts.reset_password(Caller("gateway"), world.mailed(MailKind.RESET), PASSWORD)
    assert not await works(world, text)


async def test_nothing_is_made_for_a_session_that_ended(world: World, ada: Caller) -> None:
    """Whoever was put out while their key was being made has none."""
    key, _ = await world.make_key(ada)
    await world.sessions.log_out(ada)
    with pytest.raises(Conflict):
        await world.make_key(ada)
    assert [one.api_key_id for one in await world.api_keys.list_api_keys(ada)] == [key.api_key_id]


async def test_a_credential_that_lives_is_its_user_as_true_now(world: World, ada: Caller) -> None:
    """A session's user has their roles, a key's the scopes of the key and no role of the platform's."""
    user, roles = ada.signed_in, frozenset({ADMINISTRATOR})
    key, _ = await world.make_key(ada, "users.read")
    world.store.accounts[user.user_id] = replace(world.store.accounts[user.user_id], roles=roles)
    assert await world.credentials.check(user) == replace(user, roles=roles | {OWNER})
    by_key = User(user.user_id, user.organisation_id, SessionId(key.api_key_id), roles, frozenset({"users.read"}))
    for claimed in (by_key, replace(by_key, scopes=None)):
        assert await world.credentials.check(claimed) == replace(by_key, roles=frozenset({OWNER}))
    with pytest.raises(MembershipEnded):
        await world.credentials.check(replace(by_key, organisation_id=OrganisationId("o")))
    with pytest.raises(SessionEnded):
        await world.credentials.check(replace(by_key, user_id=UserId(new_id("user"))))


async def test_a_token_of_a_session_keeps_its_scopes(world: World, ada: Caller) -> None:
    """What a token was narrowed to, asking auth does not widen."""
    narrow = replace(ada.signed_in, scopes=frozenset({"users.read"}))
    assert (await world.credentials.check(narrow)).scopes == narrow.scopes


async def test_a_wrong_password_is_counted_like_any(world: World, ada: Caller) -> None:
    """Whoever guesses here guesses at the account."""
    before = world.throttle.counted
    with pytest.raises(BadCredentials):
        await world.api_keys.create(ada, "mine", ["users.read"], None, "not my password", "")
    assert world.throttle.counted == before + 1
