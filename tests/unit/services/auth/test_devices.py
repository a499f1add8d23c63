"""Of which log-ins the owner of an account is told."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mesh.model import Caller, UserId
from services.auth.domain.devices import network
from services.auth.domain.entities import Issued, Mail, MailKind
from tests.fakes.authenticator import Authenticator
from tests.unit.services.auth.conftest import ADA, NOBODY, PASSWORD, URL, World

HOME, NEXT_DOOR, CAFE = (Caller("gateway", address=address) for address in ("192.0.2.1", "192.0.2.77", "198.51.100.1"))


@pytest.mark.parametrize(
    ("address", "where"),
    [
        ("192.0.2.7", "192.0.2.0/24"),
        ("::ffff:192.0.2.7", "192.0.2.0/24"),
        ("2001:db8:1:2::3", "2001:db8:1::/48"),
        ("2001:db8:1:ffff::3", "2001:db8:1::/48"),
        ("::1", "::/48"),
        ("fe80::1%eth0", "fe80::/48"),
        ("", ""),
        ("not an address", "not an address"),
    ],
)
def test_a_place_is_a_network(address: str, where: str) -> None:
    """An IPv4 /24 or an IPv6 /48; what is no address is a place of its own."""
    assert network(address) == where


def notices(world: World) -> list[Mail]:
    return [mail for mail in world.store.mails.values() if mail.kind is MailKind.NEW_DEVICE]


async def told_of(world: World, caller: Caller = HOME, device: str = "phone", email: str = ADA) -> bool:
    before = len(notices(world))
    assert isinstance(await world.sessions.log_in(caller, email, PASSWORD, device), Issued)
    return len(notices(world)) > before


async def test_another_label_or_another_network_is_a_new_device(world: World) -> None:
    """The first is not told of; what differs in either is, once; another address of the same network is the same."""
    await world.sign_up()
    tried = [(HOME, "phone"), (NEXT_DOOR, "phone"), (HOME, "laptop"), (CAFE, "phone"), (CAFE, "phone"), (HOME, "")]
    assert [await told_of(world, *one) for one in tried] == [False, False, True, True, False, True]
    assert await told_of(world, Caller("gateway"), "phone"), "no address is a place of its own"


async def test_the_notice_says_which_device_and_when(world: World) -> None:
    """It goes to the owner, with the label as it was given and the time of the log-in."""
    await world.sign_up()
    await told_of(world)
    world.wait(minutes=5)
    await told_of(world, CAFE, 'Ada\'s "tablet"')
    (notice,) = notices(world)
    assert (notice.email, notice.create_time) == (ADA, world.now)
    assert notice.details == {"device": 'Ada\'s "tablet"', "log_in_time": "2026-05-01T12:05:00+00:00"}


async def test_what_a_device_calls_itself_is_no_link(world: World) -> None:
    """Whoever has stolen a password names their device: the warning about it leads its reader nowhere."""
    await world.sign_up()
    await told_of(world)
    await told_of(world, CAFE, "https://help.example/me\u202e")
    (notice,) = notices(world)
    assert notice.details["device"] == "https: / / help. example/ me"


async def test_every_way_in_is_told_of(world: World) -> None:
    """With a second factor it is the code that logs in, from where it is sent; a passkey alone does too."""
    await world.sign_up()
    ada = await world.caller()
    passkey = Authenticator(URL)
    await world.add_passkey(ada, passkey)
    seed, _ = await world.enrol(ada)
    challenge = await world.sessions.log_in(CAFE, ADA, PASSWORD, "phone")
    assert isinstance(challenge, str)
    assert notices(world) == [], "a challenge is not a log-in yet"
    await world.sessions.complete(CAFE, challenge, world.code(seed, 1))
    assert len(notices(world)) == 1
    await world.passkeys.finish_log_in(CAFE, passkey.get(await world.passkeys.begin_log_in()), "phone")
    assert len(notices(world)) == 1
    await world.passkeys.finish_log_in(CAFE, passkey.get(await world.passkeys.begin_log_in()), "watch")
    assert [mail.details["device"] for mail in notices(world)] == ["phone", "watch"]


async def test_refreshing_tells_nobody(world: World) -> None:
    """A phone that moves keeps its session, and its owner their peace."""
    await world.sign_up()
    await world.sessions.refresh((await world.log_in()).refresh_token)
    assert notices(world) == []


async def test_what_is_remembered_tells_nothing(world: World) -> None:
    """Neither label nor network can be read or tried without the key; one device is another in each account."""
    await world.sign_up()
    await told_of(world)
    account, devices = await world.store.account_of(ADA), world.sessions.devices
    assert account is not None

    def hashes(key: bytes, user: str) -> bytes:
        of = replace(account, user_id=UserId(user))
        return replace(devices, pepper=key).arrival(NOBODY, of, "phone", world.now).device_hash

    assert hashes(b"key", "user_a") == hashes(b"key", "user_a")
    assert len({hashes(b"key", "user_a"), hashes(b"other", "user_a"), hashes(b"key", "user_b")}) == 3
    assert len(hashes(b"key", "user_a")) == 32
