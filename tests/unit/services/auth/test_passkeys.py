"""Passkeys, with an authenticator in software: only the right answer of the right device opens an account."""

from __future__ import annotations

import contextlib
import json
from base64 import urlsafe_b64decode
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.model import Caller, Conflict, UserId, new_id
from services.auth.ceremonies import WebAuthn
from services.auth.domain.entities import MailKind
from services.auth.domain.errors import (
    BadCode,
    BadCredentials,
    BadPasskey,
    BadRegistration,
    PasskeyNotFound,
    SessionEnded,
    TooManyPasskeys,
)
from services.auth.domain.passkeys import MOST_PASSKEYS, Passkey
from tests.fakes.authenticator import (
    BACKED_UP,
    ELIGIBLE,
    PRESENT,
    VERIFIED,
    Authenticator,
    Key,
    cose,
    eddsa,
    es256,
    plain,
    rs256,
)
from tests.unit.services.auth.conftest import NOBODY, PASSWORD, URL, World


@pytest.fixture
async def ada(world: World) -> Caller:
    await world.sign_up()
    return await world.caller()


@pytest.mark.parametrize("key", [es256(), eddsa(), rs256()], ids=["ES256", "EdDSA", "RS256"])
async def test_a_passkey_logs_in(world: World, ada: Caller, key: Key) -> None:
    """With each algorithm that is offered, and again; the list says when it was used."""
    device = Authenticator(URL, key)
    added = await world.add_passkey(ada, device)
    world.wait(minutes=1)
    for _ in range(2):
        issued = await world.use_passkey(device)
        assert issued.user_id == ada.signed_in.user_id
    (listed,) = await world.passkeys.list_passkeys(ada)
    assert (listed.passkey_id, listed.sign_count, listed.use_time) == (added.passkey_id, 2, world.now)


async def test_a_passkey_is_both_factors(world: World, ada: Caller) -> None:
    """Who has a second factor logs in with a passkey without its code; adding and removing one needs the code."""
    device = Authenticator(URL)
    added = await world.add_passkey(ada, device)
    seed, codes = await world.enrol(ada)
    assert await world.use_passkey(device)
    with pytest.raises(BadCode):
        await world.passkeys.begin_registration(ada, PASSWORD, "")
    with pytest.raises(BadCode):
        await world.passkeys.remove(ada, added.passkey_id, PASSWORD, "")
    assert await world.passkeys.begin_registration(ada, PASSWORD, world.code(seed, 1))
    await world.passkeys.remove(ada, added.passkey_id, PASSWORD, codes[0])


async def test_adding_and_removing_need_the_password(world: World, ada: Caller) -> None:
    """A stolen access token alone adds and removes nothing."""
    added = await world.add_passkey(ada, Authenticator(URL))
    with pytest.raises(BadCredentials):
        await world.passkeys.begin_registration(ada, "not my password", "")
    with pytest.raises(BadCredentials):
        await world.passkeys.remove(ada, added.passkey_id, "not my password", "")
    assert await world.passkeys.list_passkeys(ada) == [added]


async def test_a_removed_passkey_does_not_log_in(world: World, ada: Caller) -> None:
    """It is gone at once, and both its coming and its going are told by mail."""
    device = Authenticator(URL)
    added = await world.add_passkey(ada, device)
    await world.passkeys.remove(ada, added.passkey_id, PASSWORD, "")
    with pytest.raises(BadPasskey):
        await world.use_passkey(device)
    with pytest.raises(PasskeyNotFound):
        await world.passkeys.remove(ada, added.passkey_id, PASSWORD, "")
    kinds = [mail.kind for mail in world.store.mails.values()]
    assert kinds[-2:] == [MailKind.PASSKEY_ADDED, MailKind.PASSKEY_REMOVED]


async def test_a_renamed_passkey_keeps_everything_else(world: World, ada: Caller) -> None:
    """Another name is all that changes; there is none of an id that is not yours."""
    added = await world.add_passkey(ada, Authenticator(URL))
    assert (await world.passkeys.rename(ada, added.passkey_id, "old phone")).name == "old phone"
    with pytest.raises(PasskeyNotFound):
        await world.passkeys.rename(ada, new_id("passkey"), "mine")


async def test_the_options_ask_for_what_is_checked(world: World, ada: Caller) -> None:
    """They name this site, demand that the owner is verified, exclude what is there, and differ each time."""
    device = Authenticator(URL)
    await world.add_passkey(ada, device)
    made = json.loads(await world.passkeys.begin_registration(ada, PASSWORD, ""))
    asked = [json.loads(await world.passkeys.begin_log_in()) for _ in range(2)]
    assert made["rp"]["id"] == asked[0]["rpId"] == "app.example.org"
    assert made["authenticatorSelection"]["userVerification"] == asked[0]["userVerification"] == "required"
    assert made["authenticatorSelection"]["residentKey"] == "required"
    assert [one["id"] for one in made["excludeCredentials"]] == [plain(device.credential_id)]
    assert [one["alg"] for one in made["pubKeyCredParams"]] == [-7, -8, -257]
    assert len({made["challenge"], *(one["challenge"] for one in asked)}) == 3
    assert all(len(one["challenge"]) >= 43 and one["allowCredentials"] == [] for one in asked)


WRONG: dict[str, dict[str, Any]] = {
    "another origin": {"origin": "https://app.example.org.evil.example"},
    "another port": {"origin": f"{URL}:8443"},
    "no TLS": {"origin": "http://app.example.org"},
    "another site's key": {"rp_id": "example.org"},
    "owner not verified": {"flags": PRESENT},
    "nobody there": {"flags": VERIFIED},
    "within another's page": {"changes": {"crossOrigin": True}},
    "another ceremony": {"changes": {"type": "webauthn.other"}},
    "another challenge": {"changes": {"challenge": plain(b"x" * 32)}},
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG.keys())
async def test_a_registration_that_is_not_right_adds_nothing(world: World, ada: Caller, wrong: dict[str, Any]) -> None:
    """Whatever is wrong in what the device says, there is no passkey after it."""
    with pytest.raises(BadRegistration):
        await world.add_passkey(ada, Authenticator(**{"origin": URL, **wrong}))
    assert await world.passkeys.list_passkeys(ada) == []


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG.keys())
async def test_an_answer_that_is_not_right_logs_nobody_in(world: World, ada: Caller, wrong: dict[str, Any]) -> None:
    """Whatever is wrong in what the device says, nobody is logged in; the right answer afterwards does."""
    device = Authenticator(URL)
    await world.add_passkey(ada, device)
    right = {name: getattr(device, name) for name in wrong}
    for name, value in wrong.items():
        setattr(device, name, value)
    with pytest.raises(BadPasskey):
        await world.use_passkey(device)
    for name, value in right.items():
        setattr(device, name, value)
    assert await world.use_passkey(device)


async def test_another_key_does_not_sign(world: World, ada: Caller) -> None:
    """A signature of another key under the same credential is refused."""
    device = Authenticator(URL)
    await world.add_passkey(ada, device)
    device.key = es256()
    with pytest.raises(BadPasskey):
        await world.use_passkey(device)


@pytest.mark.parametrize("user", ["", plain(b"user_of_somebody_else")])
async def test_the_device_says_whose_it_is(world: World, ada: Caller, user: str) -> None:
    """A passkey that names nobody or another account opens none."""
    device = Authenticator(URL)
    await world.add_passkey(ada, device)
    device.user = user
    with pytest.raises(BadPasskey):
        await world.use_passkey(device)


async def test_a_copied_key_is_refused(world: World, ada: Caller) -> None:
    """A count that does not grow is that of a copy; a device that keeps no count is taken as it is."""
    device, copy = Authenticator(URL), Authenticator(URL, counts=False)
    await world.add_passkey(ada, device)
    await world.use_passkey(device)
    device.sign_count = 0
    with pytest.raises(BadPasskey):
        await world.use_passkey(device)
    await world.add_passkey(ada, copy)
    for _ in range(2):
        assert await world.use_passkey(copy)


async def test_an_answer_is_good_once(world: World, ada: Caller) -> None:
    """The same answer again logs nobody in and adds nothing, nor does a right one after a wrong one."""
    device = Authenticator(URL, counts=False)
    made = device.create(await world.passkeys.begin_registration(ada, PASSWORD, ""))
    await world.passkeys.finish_registration(ada, made, "phone")
    with pytest.raises(BadRegistration):
        await world.passkeys.finish_registration(ada, made, "phone")
    options = await world.passkeys.begin_log_in()
    answer = device.get(options)
    assert await world.passkeys.finish_log_in(NOBODY, answer, "phone")
    with pytest.raises(BadPasskey):
        await world.passkeys.finish_log_in(NOBODY, answer, "phone")


async def test_an_answer_may_take_five_minutes(world: World, ada: Caller) -> None:
    """After five minutes neither a registration nor a log-in is open any more."""
    device = Authenticator(URL)
    await world.add_passkey(ada, device)
    made = Authenticator(URL).create(await world.passkeys.begin_registration(ada, PASSWORD, ""))
    answer = device.get(await world.passkeys.begin_log_in())
    world.wait(minutes=5)
    with pytest.raises(BadRegistration):
        await world.passkeys.finish_registration(ada, made, "phone")
    with pytest.raises(BadPasskey):
        await world.passkeys.finish_log_in(NOBODY, answer, "phone")


async def test_a_registration_is_the_session_s_that_began(world: World, ada: Caller) -> None:
    """Another session cannot finish it, nor can a log-in be finished as a registration or the other way round."""
    device, other = Authenticator(URL), await world.caller()
    options = await world.passkeys.begin_registration(ada, PASSWORD, "")
    with pytest.raises(BadRegistration):
        await world.passkeys.finish_registration(other, device.create(options), "phone")
    with pytest.raises(BadPasskey):
        await world.passkeys.finish_log_in(NOBODY, device.create(options), "phone")
    added = await world.passkeys.finish_registration(ada, device.create(options), "phone")
    again = json.loads(await world.passkeys.begin_registration(ada, PASSWORD, ""))
    with pytest.raises(BadPasskey):
        await world.passkeys.finish_log_in(NOBODY, device.get(json.dumps({**again, "rpId": "x"})), "phone")
    assert await world.passkeys.list_passkeys(ada) == [added]


async def test_a_session_that_was_ended_adds_nothing(world: World, ada: Caller) -> None:
    """Whoever was put out between beginning and finishing has no passkey; whoever was before begins nothing."""
    made = Authenticator(URL).create(await world.passkeys.begin_registration(ada, PASSWORD, ""))
    await world.sessions.revoke_all(ada)
    with pytest.raises(BadRegistration):
        await world.passkeys.finish_registration(ada, made, "phone")
    with pytest.raises(SessionEnded):
        await world.passkeys.begin_registration(ada, PASSWORD, "")


async def test_a_device_is_added_once(world: World, ada: Caller) -> None:
    """A credential that is there already is not added again."""
    device = Authenticator(URL)
    await world.add_passkey(ada, device)
    with pytest.raises(Conflict):
        await world.add_passkey(ada, device)


async def test_an_account_has_so_many_passkeys(world: World, ada: Caller) -> None:
    """One more than MOST_PASSKEYS is refused before anything is asked, and taken when one was removed."""
    added = [await world.add_passkey(ada, Authenticator(URL)) for _ in range(MOST_PASSKEYS)]
    with pytest.raises(TooManyPasskeys):
        await world.passkeys.begin_registration(ada, "whatever", "")
    await world.passkeys.remove(ada, added[0].passkey_id, PASSWORD, "")
    assert await world.add_passkey(ada, Authenticator(URL))


async def test_what_a_keychain_keeps_is_said(world: World, ada: Caller) -> None:
    """`backed_up` is as the device said last."""
    device = Authenticator(URL, flags=PRESENT | VERIFIED | ELIGIBLE)
    assert not (await world.add_passkey(ada, device)).backed_up
    device.flags |= BACKED_UP
    await world.use_passkey(device)
    assert (await world.passkeys.list_passkeys(ada))[0].backed_up


@pytest.mark.parametrize("bits", [1024, 5120])
async def test_an_rsa_key_is_neither_weak_nor_a_burden(world: World, ada: Caller, bits: int) -> None:
    """RSA keys below 2048 or above 4096 bits are refused."""
    with pytest.raises(BadRegistration):
        await world.add_passkey(ada, Authenticator(URL, rs256(bits)))


async def test_a_point_off_the_curve_is_no_key(world: World, ada: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that could never verify anything is refused when it is added."""
    broken = {**cose(es256()), -3: bytes(31) + b"\x01"}
    monkeypatch.setattr("tests.fakes.authenticator.cose", lambda key: broken)
    with pytest.raises(BadRegistration):
        await world.add_passkey(ada, Authenticator(URL))


async def test_pages_of_several_origins_use_one_passkey(world: World, ada: Caller) -> None:
    """A passkey of a domain logs in on each of its origins that the settings name, and on no other."""
    origins = ["https://app.example.org", "https://example.org:8443"]
    world.passkeys = replace(world.passkeys, ceremonies=WebAuthn(origins, "example.org"))
    device = Authenticator(origins[0])
    await world.add_passkey(ada, device)
    for device.origin in origins:
        assert await world.use_passkey(device)
    device.origin = "https://other.example.org"
    with pytest.raises(BadPasskey):
        await world.use_passkey(device)


@pytest.mark.parametrize("origin", ["https://example.com", "https://badexample.org", "https://org"])
def test_all_origins_are_in_the_domain(origin: str) -> None:
    """Settings with which browsers would use no passkey are refused at the start, by name."""
    with pytest.raises(ValueError, match="TULLE_PASSKEY_DOMAIN"):
        WebAuthn(["https://app.example.org", origin], "example.org")


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["id", "rawId", "response", "type"]), inner),
)


@given(st.text() | _JSON.map(json.dumps))
def test_whatever_is_sent_is_a_wrong_answer(answer: str) -> None:
    """No text makes the ceremonies fail otherwise than by saying that it is wrong."""
    ceremonies = WebAuthn([URL])
    for judge in (ceremonies.challenge, ceremonies.credential, lambda text: ceremonies.made(text, b"x" * 32)):
        with pytest.raises(ValueError, match="is not right"):
            judge(answer)


def _signed() -> tuple[WebAuthn, Passkey, bytes, dict[str, Any]]:
    """A passkey, a challenge and the right answer to it."""
    ceremonies, device, challenge = WebAuthn([URL]), Authenticator(URL), b"c" * 32
    device.user = plain(b"user_ada")
    answer = json.loads(device.get(ceremonies.request(challenge)))
    passkey = Passkey(
        passkey_id="passkey_ada",
        user_id=UserId("user_ada"),
        name="phone",
        credential_id=device.credential_id,
        public_key=cbor2.dumps(cose(device.key)),
        sign_count=0,
        backed_up=False,
        create_time=datetime(2026, 5, 1, tzinfo=UTC),
    )
    return ceremonies, passkey, challenge, answer


PARTS = st.sampled_from(["clientDataJSON", "authenticatorData", "signature", "userHandle"])


@given(PARTS, st.integers(min_value=0), st.integers(0, 7))
def test_no_bit_of_an_answer_can_be_changed(part: str, place: int, bit: int) -> None:
    """Of a right answer that logs in, each bit matters."""
    ceremonies, passkey, challenge, answer = _signed()
    assert ceremonies.used(json.dumps(answer), challenge, passkey) == (1, False)
    whole = bytearray(urlsafe_b64decode(answer["response"][part] + "=="))
    whole[place % len(whole)] ^= 1 << bit
    answer["response"][part] = plain(bytes(whole))
    with pytest.raises(ValueError, match="is not right"):
        ceremonies.used(json.dumps(answer), challenge, passkey)


@given(st.lists(st.tuples(st.integers(min_value=0), st.integers(0, 255)), min_size=1, max_size=4))
def test_a_broken_registration_is_a_wrong_answer(changes: list[tuple[int, int]]) -> None:
    """What a device says about a new key can be broken at any byte: nothing comes of it but yes or no."""
    ceremonies, challenge = WebAuthn([URL]), b"c" * 32
    device = Authenticator(URL)
    options = {"rp": {"id": "app.example.org"}, "user": {"id": "dXNlcg"}, "challenge": plain(challenge)}
    answer = json.loads(device.create(json.dumps(options)))
    assert ceremonies.made(json.dumps(answer), challenge).credential_id == device.credential_id
    whole = bytearray(urlsafe_b64decode(answer["response"]["attestationObject"] + "=="))
    for place, value in changes:
        whole[place % len(whole)] = value
    answer["response"]["attestationObject"] = plain(bytes(whole))
    with contextlib.suppress(ValueError):
        ceremonies.made(json.dumps(answer), challenge)
