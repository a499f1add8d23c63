"""What becomes of a push, and which endpoints may be told at all."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from mesh.model import Caller, OrganisationId, SessionId, User, UserId, new_id
from mesh.tasks import ended
from services.notifications.inbox.domain import words
from services.notifications.push.checking import checked
from services.notifications.push.courier import PushWorker
from services.notifications.push.domain import (
    ATTEMPTS,
    PAUSE,
    PAUSE_LONGEST,
    TTL,
    Answer,
    BadEndpoint,
    Endpoint,
    EndpointNotFound,
    Keys,
    Pushes,
    State,
    Unclear,
)
from services.notifications.push.encryption import Vapid, is_public_key
from services.notifications.push.limits import COURIERS
from services.notifications.push.public import is_public
from tests.fakes.push import FakePushes

ADA = Caller("gateway", User(UserId(new_id("user", 1)), OrganisationId("o"), SessionId("s"), frozenset()))
BOB = Caller("gateway", User(UserId(new_id("user", 2)), OrganisationId("o"), SessionId("s"), frozenset()))
URL = "https://push.example.net/1"
POINT = bytes.fromhex(
    "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
    "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"
)
"""P-256's own base point."""
KEYS = Keys(POINT, bytes(16))


SPECIAL = (
    "0.1.2.3",
    "10.255.255.255",
    "100.127.255.255",
    "127.1.2.3",
    "169.254.169.254",
    "172.31.255.255",
    "192.0.0.9",
    "192.0.0.170",
    "192.0.2.1",
    "192.31.196.1",
    "192.52.193.1",
    "192.88.99.1",
    "192.175.48.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    "239.255.255.255",
    "240.0.0.1",
    "::1",
    "::127.0.0.1",
    "::10.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:93.184.216.34",
    "::ffff:0:10.0.0.1",
    "64:ff9b::10.0.0.1",
    "64:ff9b::93.184.216.34",
    "64:ff9b:1::1",
    "100::1",
    "100:0:0:1::1",
    "2001::1",
    "2001:1::1",
    "2001:2::1",
    "2001:3::1",
    "2001:4:112::1",
    "2001:10::1",
    "2001:20::1",
    "2001:30::1",
    "2001:db8::1",
    "2002:a00:1::1",
    "2002:5db8:d822::1",
    "2620:4f:8000::1",
    "3fff::1",
    "4000::1",
    "5f00::1",
    "fc00::1",
    "fd12::1",
    "fe80::1",
    "febf::1",
    "fec0::1",
    "feff::1",
    "ff02::1",
    "ff0e::1",
)
"""One of each block that IANA keeps for something special, and how an address of IPv4 is hidden in one of IPv6."""
BESIDE = ("9.255.255.255", "100.128.0.1", "172.32.0.1", "192.0.1.1", "198.20.0.1", "223.255.255.255", "2001:200::1")
"""Right after such blocks, or before."""


@dataclass
class Script:
    """A push service that says what it is told to, and a clock."""

    answers: list[Answer | Exception] = field(default_factory=list)
    heard: list[tuple[str, bytes, float]] = field(default_factory=list)
    now: datetime = datetime(2026, 11, 1, tzinfo=UTC)

    async def send(self, endpoint: Endpoint, payload: bytes, ttl: float) -> Answer:
        self.heard.append((endpoint.url, payload, ttl))
        answer = self.answers.pop(0) if self.answers else Answer(201)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def pushes(self) -> Pushes:
        return Pushes(FakePushes(), self, checked(loopback=False), words, lambda: self.now)


async def told(pushes: Pushes, *urls: str) -> None:
    for url in urls or (URL,):
        await pushes.register(ADA, url, KEYS)
    await pushes.tell(ADA.signed_in.user_id, "welcome", {}, 7)


async def drain(pushes: Pushes) -> int:
    count = 0
    while await pushes.send_next():
        count += 1
    return count


async def states(pushes: Pushes) -> Sequence[State | None]:
    return [one.last_state for one in await pushes.endpoints(ADA)]


async def test_all_browsers_of_a_person_are_told_once() -> None:
    """Each gets the notice and its place in the inbox, nothing else; nobody else gets anything."""
    script = Script()
    pushes = script.pushes()
    await pushes.register(BOB, "https://push.example.net/bob", KEYS)
    await told(pushes, URL, "https://push.example.net/2")
    assert await drain(pushes) == 2
    assert {url for url, _, _ in script.heard} == {URL, "https://push.example.net/2"}
    notice = {"kind": "welcome", "title": "Welcome", "body": "Your account is ready.", "number": "7"}
    assert [json.loads(payload) for _, payload, _ in script.heard] == [notice, notice]
    assert await states(pushes) == [State.SENT, State.SENT]


@pytest.mark.parametrize("status", [404, 410])
async def test_an_endpoint_that_is_gone_is_removed(status: int) -> None:
    """Its push service says so once; nothing is sent there again."""
    pushes = Script([Answer(status)]).pushes()
    await told(pushes)
    assert await drain(pushes) == 1
    assert await pushes.endpoints(ADA) == []
    assert await pushes.tell(ADA.signed_in.user_id, "welcome") == 0


async def test_a_push_that_breaks_fails_and_holds_nobody_up() -> None:
    """What nobody foresaw is told once it is settled; the next push goes out."""
    script = Script([TypeError()])
    pushes = script.pushes()
    await told(pushes, URL, "https://push.example.net/2")
    with pytest.raises(TypeError):
        await pushes.send_next()
    assert await drain(pushes) == 1
    assert await states(pushes) == [State.FAILED, State.SENT]


async def test_a_lane_outlives_a_push_that_breaks() -> None:
    """The worker goes on with what is due next."""
    script = Script([TypeError() for _ in range(int(COURIERS))])
    pushes = script.pushes()
    await told(pushes, *(f"https://push.example.net/{number}" for number in range(int(COURIERS) + 1)))
    worker = asyncio.ensure_future(PushWorker(pushes).run())
    try:
        async with asyncio.timeout(10):
            while None in await states(pushes):
                assert not worker.done()
                await asyncio.sleep(0.01)
    finally:
        await ended(worker)
    assert sorted(map(str, await states(pushes))) == [*["failed"] * int(COURIERS), "sent"]


@pytest.mark.parametrize("status", [301, 400, 401, 403, 413])
async def test_a_refusal_is_final(status: int) -> None:
    """A push that its service does not want is not repeated; redirects are refusals."""
    script = Script([Answer(status)])
    pushes = script.pushes()
    await told(pushes)
    assert await drain(pushes) == 1
    script.now += timedelta(hours=1)
    assert await drain(pushes) == 0
    assert await states(pushes) == [State.FAILED]


@pytest.mark.parametrize("status", [0, 429, 500, 503])
async def test_what_was_not_taken_is_tried_again(status: int) -> None:
    """After a pause that doubles, ATTEMPTS times in all."""
    script = Script([Answer(status)] * 99)
    pushes = script.pushes()
    await told(pushes)
    pauses = []
    for _ in range(ATTEMPTS):
        assert await drain(pushes) == 1
        before = script.now
        while await states(pushes) == [State.WAITING] and script.now - before < timedelta(hours=1):
            script.now += timedelta(seconds=PAUSE)
            if await _due(pushes, script.now):
                break
        pauses.append((script.now - before).total_seconds())
    assert pauses == [10, 20, 40, 80, 160, 0]
    assert await states(pushes) == [State.FAILED]


async def _due(pushes: Pushes, now: datetime) -> bool:
    store = pushes.store
    assert isinstance(store, FakePushes)
    return any(one.state is State.WAITING and one.due <= now for one in store._pushes.values())


@pytest.mark.parametrize(("asked", "waits"), [(1.0, PAUSE), (60.0, 60.0), (1e9, PAUSE_LONGEST)])
async def test_a_push_service_says_when_to_come_again(asked: float, waits: float) -> None:
    """`retry-after` is heeded within bounds."""
    script = Script([Answer(429, asked)])
    pushes = script.pushes()
    await told(pushes)
    await drain(pushes)
    assert not await _due(pushes, script.now + timedelta(seconds=waits - 1))
    assert await _due(pushes, script.now + timedelta(seconds=waits))


async def test_what_nobody_knows_is_not_repeated() -> None:
    """A connection that was lost midway may have brought the push: at most once."""
    script = Script([Unclear()])
    pushes = script.pushes()
    await told(pushes)
    assert await drain(pushes) == 1
    script.now += timedelta(hours=1)
    assert await drain(pushes) == 0
    assert await states(pushes) == [State.LOST]


async def test_an_endpoint_that_leads_inside_is_removed() -> None:
    """A name whose address has become a private one gets nothing any more."""
    pushes = Script([BadEndpoint()]).pushes()
    await told(pushes)
    await drain(pushes)
    assert await pushes.endpoints(ADA) == []


async def test_a_push_ages() -> None:
    """What is left of its time goes with it, and without any it does not go."""
    script = Script([Answer(503, PAUSE_LONGEST)])
    pushes = script.pushes()
    await told(pushes)
    await drain(pushes)
    script.now += timedelta(seconds=PAUSE_LONGEST)
    await drain(pushes)
    assert [ttl for _, _, ttl in script.heard] == [TTL, TTL - PAUSE_LONGEST]
    await pushes.tell(ADA.signed_in.user_id, "welcome")
    script.now += timedelta(seconds=TTL)
    await drain(pushes)
    assert len(script.heard) == 2
    assert await states(pushes) == [State.FAILED]


async def test_nobody_removes_anothers_endpoint() -> None:
    """It is as if it were not there."""
    pushes = Script().pushes()
    made = await pushes.register(ADA, URL, KEYS)
    with pytest.raises(EndpointNotFound):
        await pushes.remove(BOB, made.endpoint_id)
    await pushes.remove(ADA, made.endpoint_id)


@pytest.mark.parametrize(
    "url",
    [
        "http://push.example.net/1",
        "https://127.0.0.1/1",
        "https://10.0.0.1/1",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/1",
        "https://[fd00::1]/1",
        "https://[::ffff:127.0.0.1]/1",
        "https://push.example.net:8443/1",
        "https://user:password@push.example.net/1",
        "ftp://push.example.net/1",
        "https:///1",
        "nonsense",
        "https://push.example.net:99999/",
    ],
)
def test_only_public_https_is_an_endpoint(url: str) -> None:
    """Neither another protocol, nor another port, nor an address inside."""
    with pytest.raises(BadEndpoint) as refused:
        checked(loopback=False)(url, KEYS)
    assert [one.field for one in refused.value.violations] == ["url"]


@pytest.mark.parametrize(
    ("keys", "fields"),
    [
        (Keys(POINT[:64], bytes(16)), ["p256dh"]),
        (Keys(b"\x04" + bytes(64), bytes(16)), ["p256dh"]),
        (Keys(POINT, bytes(15)), ["auth"]),
        (Keys(b"", b""), ["p256dh", "auth"]),
    ],
)
def test_keys_are_those_of_a_browser(keys: Keys, fields: list[str]) -> None:
    """A point that is not on the curve would tell an attacker of our key; any other length is no key."""
    with pytest.raises(BadEndpoint) as refused:
        checked(loopback=False)(URL, keys)
    assert [one.field for one in refused.value.violations] == fields


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1:248:1893:25c8:1946", True),
        ("0.0.0.0", False),
        ("100.64.0.1", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::", False),
        ("fe80::1%eth0", False),
        ("::ffff:10.0.0.1", False),
        ("2002:7f00:1::", False),
        ("64:ff9b::7f00:1", False),
        *[(address, False) for address in SPECIAL],
        *[(address, True) for address in BESIDE],
    ],
)
def test_what_counts_as_public(address: str, public: bool) -> None:
    """Addresses of the internet; none that is special, nor one that carries such a one inside."""
    assert is_public(address) == public


def test_loopback_counts_only_where_it_is_said() -> None:
    """For tests and demonstrations, and then nothing else inside."""
    assert is_public("127.0.0.1", loopback=True)
    assert is_public("::1", loopback=True)
    assert not is_public("10.0.0.1", loopback=True)


def test_the_key_is_the_same_in_every_process() -> None:
    """Browsers subscribe with it: it follows from the secret alone."""
    first, again, other = Vapid("s", ""), Vapid("s", ""), Vapid("t", "")
    assert first.public_key == again.public_key != other.public_key
    assert is_public_key(POINT)
