"""Access tokens and the keys that verify them."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, RSAKey

from mesh import limits
from mesh.call import Call, Peer, current
from mesh.jwks import Keys
from mesh.model import Unauthenticated, Unavailable
from mesh.tokens import LEEWAY, TokenVerifier
from tests.unit.mesh.echo import ADA, ECHO

ISSUER, NOW = "https://tulle.example", 1_800_000_000
KEY, OTHER = (ECKey.generate_key("P-256", {"kid": name}) for name in ("one", "two"))
HEADER = {"alg": "ES256", "typ": "at+jwt", "kid": "one"}
CLAIMS: dict[str, Any] = {
    "iss": ISSUER,
    "aud": "tulle",
    "sub": ADA,
    "org": "organisation_1",
    "sid": "session_1",
    "roles": ["administrator"],
    "iat": NOW,
    "exp": NOW + 300,
    "jti": "1",
}


def jwks(*keys: ECKey) -> dict[str, Any]:
    return {"keys": [key.as_dict(private=False) | {"alg": "ES256", "use": "sig"} for key in keys]}


class Auth:
    """Auth's key set, with a clock, and with what can go wrong."""

    def __init__(self, *keys: ECKey) -> None:
        self.keys, self.fetched, self.away, self.now = list(keys or (KEY,)), 0, False, 0.0
        self.gate: asyncio.Event | None = None

    async def fetch(self) -> dict[str, Any]:
        self.fetched += 1
        if self.gate:
            await self.gate.wait()
        if self.away:
            raise Unavailable
        return jwks(*self.keys)

    def cache(self, file: Path | None = None) -> Keys:
        return Keys(self.fetch, file, lambda: self.now)


def token(key: Any = KEY, header: dict[str, Any] | None = None, **claims: Any) -> str:
    return jwt.encode({**HEADER, **(header or {})}, {**CLAIMS, **claims}, key)


def verifier(auth: Auth | None = None, now: Callable[[], float] = lambda: NOW) -> TokenVerifier:
    return TokenVerifier((auth or Auth()).cache(), ISSUER, now)


def unsigned(header: dict[str, Any], signature: str = "") -> str:
    parts = (json.dumps(part).encode() for part in (header, CLAIMS))
    return ".".join([*(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts), signature])


async def test_a_good_token_is_its_user() -> None:
    """The claims become the user; the token ends at exp and the leeway."""
    user, expires = await verifier().verify(token())
    assert (user.user_id, user.organisation_id, user.session_id) == (ADA, "organisation_1", "session_1")
    assert (user.roles, expires) == (frozenset({"administrator"}), float(NOW + 300 + LEEWAY))


async def test_a_token_by_a_key_has_scopes() -> None:
    """A person's token has no scopes at all, which is not the same as none of them."""
    for claims, scopes in (
        ({}, None),
        ({"scopes": []}, set()),
        ({"scopes": ["a.read", "b.read"]}, {"a.read", "b.read"}),
    ):
        assert (await verifier().verify(token(**claims)))[0].scopes == scopes


SYMMETRIC = OctKey.import_key("secret" * 10)
RSA = RSAKey.generate_key(2048, {"kid": "one"})
FORGED = {
    "empty": "",
    "words": "not a token",
    "dots": "..",
    "not base64": "é.é.é",
    "not json": "AAAA.AAAA.AAAA",
    "not an object": base64.urlsafe_b64encode(b"[1]").decode() + ".e30.AA",
    "deep": base64.urlsafe_b64encode(b"[" * 2500).decode() + ".e30.AA",
    "long": "a" * (limits.TOKEN_BYTES + 1),
    "alg none": unsigned({**HEADER, "alg": "none"}),
    "alg none in capitals": unsigned({**HEADER, "alg": "NONE"}),
    "without signature": unsigned(HEADER),
    "signed by a stranger": token(OTHER, {"kid": "one"}),
    "HMAC with the public key": jwt.encode(
        {**HEADER, "alg": "HS256"}, CLAIMS, OctKey.import_key(KEY.as_pem(private=False).hex())
    ),
    "HMAC": jwt.encode({**HEADER, "alg": "HS256"}, CLAIMS, SYMMETRIC),
    "RSA": jwt.encode({**HEADER, "alg": "RS256"}, CLAIMS, RSA),
    "another type": token(header={"typ": "JWT"}),
    "a type that is a number": unsigned({**HEADER, "typ": 1}),
    "a key in the header": token(header={"jwk": KEY.as_dict(private=False)}),
    "a key's address": token(header={"jku": "https://evil.example/keys"}),
    "a certificate's address": token(header={"x5u": "https://evil.example/cert"}),
    "without key id": unsigned({"alg": "ES256", "typ": "at+jwt"}),
    "a key id that is no text": unsigned({**HEADER, "kid": {}}),
    "an unknown key": token(OTHER, {"kid": "three"}),
    "another issuer": token(iss="https://evil.example"),
    "another audience": token(aud="other"),
    "several audiences": token(aud=["tulle", "other"]),
    "issued in the future": token(iat=NOW + LEEWAY + 1, exp=NOW + 200),
    "expired": token(iat=NOW - 400, exp=NOW - LEEWAY),
    "too long a life": token(exp=NOW + 301),
    "exp as text": token(exp="2100"),
    "without exp": jwt.encode(HEADER, {k: v for k, v in CLAIMS.items() if k != "exp"}, KEY),
    "without subject": token(sub=""),
    "roles that are numbers": token(roles=[1]),
    "roles as text": token(roles="administrator"),
    "scopes as text": token(scopes="users.read"),
    "scopes that are numbers": token(scopes=[1]),
    "an empty scope": token(scopes=[""]),
    "scopes that are null": token(scopes=None),
}


@pytest.mark.parametrize("forged", FORGED.values(), ids=FORGED.keys())
async def test_a_bad_token_is_refused(forged: str) -> None:
    """Every forgery is UNAUTHENTICATED, never an error of ours."""
    with pytest.raises(Unauthenticated):
        await verifier().verify(forged)


async def test_clocks_may_differ_a_little() -> None:
    """A token is good until exp and the leeway, and from iat less the leeway."""
    await verifier(now=lambda: NOW + 300 + LEEWAY - 1).verify(token())
    await verifier(now=lambda: NOW - LEEWAY).verify(token())
    with pytest.raises(Unauthenticated):
        await verifier(now=lambda: NOW + 300 + LEEWAY).verify(token())


async def test_a_known_token_expires() -> None:
    """A token is verified once; remembered, it still ends in time."""
    now = float(NOW)
    remembering = verifier(now=lambda: now)
    await remembering.verify(token())
    good = token()
    await remembering.verify(good)
    now = NOW + 400
    with pytest.raises(Unauthenticated):
        await remembering.verify(good)


async def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many tokens only the latest are remembered."""
    monkeypatch.setattr(limits, "TOKENS_KEPT", 3)
    remembering = verifier()
    for number in range(10):
        await remembering.verify(token(jti=str(number)))
    assert len(remembering._known) == 3


async def test_keys_are_fetched_once() -> None:
    """However many ask at once, one fetch is under way."""
    auth = Auth()
    keys = auth.cache()
    await asyncio.gather(*(keys.key("one") for _ in range(50)))
    assert auth.fetched == 1


async def test_a_fetch_is_nobodys_in_particular() -> None:
    """Keys are fetched for all, outside of the call that happens to ask: its deadline and token are not for that."""
    seen: list[Call | None] = []

    async def fetch() -> dict[str, Any]:
        seen.append(current.get())
        return jwks(KEY)

    before = current.set(Call(ECHO, Peer("gateway"), time.monotonic() + 0.01, token="hers"))
    try:
        await Keys(fetch).key("one")
    finally:
        current.reset(before)
    assert seen == [None]


async def test_unknown_keys_fetch_no_storm() -> None:
    """An unknown key asks for the set again, but not more often than KEYS_PAUSE, whoever forges."""
    auth = Auth()
    keys = auth.cache()
    await keys.key("one")
    for now in (1.0, 2.0, limits.KEYS_PAUSE + 0.1, limits.KEYS_PAUSE + 0.2):
        auth.now = now
        with pytest.raises(Unauthenticated):
            await keys.key("forged")
    assert auth.fetched == 2


async def test_a_new_key_is_found() -> None:
    """A token under a key that was just published is good as soon as the set is asked again."""
    auth = Auth()
    keys = auth.cache()
    await keys.key("one")
    auth.keys.append(OTHER)
    auth.now = limits.KEYS_PAUSE
    assert (await keys.key("two")).kid == "two"


async def test_known_keys_work_while_auth_is_away() -> None:
    """A stale key is used at once and refreshed behind; when auth is away it stays in use."""
    auth = Auth()
    keys = auth.cache()
    await keys.key("one")
    auth.now, auth.away = limits.KEYS_FRESH + 1, True
    auth.gate = asyncio.Event()
    await asyncio.wait_for(keys.key("one"), 1)
    await asyncio.sleep(0)
    assert auth.fetched == 2
    auth.gate.set()
    await asyncio.sleep(0.01)
    assert (await keys.key("one")).kid == "one"


async def test_a_key_that_is_gone_is_gone() -> None:
    """A withdrawn key verifies nothing after the next fetch."""
    auth = Auth(KEY, OTHER)
    keys = auth.cache()
    await keys.key("two")
    auth.keys.remove(OTHER)
    auth.now = limits.KEYS_FRESH + 1
    await keys.key("one")
    await asyncio.sleep(0.01)
    with pytest.raises(Unauthenticated):
        await keys.key("two")


async def test_not_knowing_is_unavailable() -> None:
    """Without any key set an unknown key is UNAVAILABLE, never a refusal."""
    auth = Auth()
    auth.away = True
    for _ in range(2):
        with pytest.raises(Unavailable) as refused:
            await auth.cache().key("one")
        assert refused.value.retry_after


async def test_keys_survive_a_restart(tmp_path: Path) -> None:
    """The last good set is in a file, and the next process begins with it."""
    auth, file = Auth(), tmp_path / "jwks.json"
    await auth.cache(file).key("one")
    auth.away = True
    again = auth.cache(file)
    assert (await again.key("one")).kid == "one"
    with pytest.raises(Unavailable):
        await again.key("two")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"keys": []}', '{"keys": [{"kty": "oct", "k": "AA", "kid": "one"}]}'])
async def test_a_broken_file_is_no_file(tmp_path: Path, text: str) -> None:
    """What cannot be read is fetched."""
    file = tmp_path / "jwks.json"
    file.write_text(text)
    assert (await Auth().cache(file).key("one")).kid == "one"


async def test_a_folder_that_cannot_be_written_stops_nobody(tmp_path: Path) -> None:
    """Keys that cannot be saved are used all the same."""
    assert (await Auth().cache(tmp_path / "missing" / "jwks.json").key("one")).kid == "one"


async def test_only_keys_on_our_curve_are_used() -> None:
    """A key of another kind in the set is as if it were not there."""
    auth = Auth(KEY, ECKey.generate_key("P-384", {"kid": "two"}))
    keys = auth.cache()
    await keys.key("one")
    with pytest.raises(Unauthenticated):
        await keys.key("two")


async def test_who_goes_away_stops_no_fetch() -> None:
    """A caller that is cancelled while the keys are fetched leaves the fetch to the others."""
    auth = Auth()
    auth.gate = asyncio.Event()
    keys = auth.cache()
    first = asyncio.ensure_future(keys.key("one"))
    second = asyncio.ensure_future(keys.key("one"))
    await asyncio.sleep(0)
    first.cancel()
    auth.gate.set()
    assert (await second).kid == "one"
