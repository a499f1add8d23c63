"""From signing up to a changed profile, as somebody outside does it."""

from __future__ import annotations

from typing import Any

import grpc
import httpx
import pytest
from tulle.users.v1 import users_pb2 as pb
from tulle.users.v1.users_pb2_grpc import UsersServiceStub

from mesh.channel import decoded
from mesh.model import AlreadyExists
from services.notifications.limits import MAILS_TO_ADDRESS
from tests.e2e.doors import Edge
from tests.e2e.people import Person, eventually, next_code
from tests.e2e.rest import refusal
from tests.e2e.stacks import Stack


async def test_from_sign_up_to_profile(newcomer: Person) -> None:
    """Who signs up and confirms the address logs in and finds a profile with the usual values."""
    await newcomer.sign_up()
    await newcomer.verify()
    await newcomer.log_in()
    answer = await newcomer.rest.get("/v1/users/me", headers=newcomer.bearer)
    assert answer.status_code == 200, answer.text
    profile = answer.json()
    assert profile["userId"] == newcomer.user_id
    assert (profile["locale"], profile["timeZone"], profile["handle"]) == ("en", "UTC", "")


async def test_the_profile_comes_with_the_account(stack: Stack, newcomer: Person) -> None:
    """The profile is made when the account opens, whether or not its owner ever comes."""
    await newcomer.sign_up()
    user_id = await newcomer.verify()
    (profile,) = await eventually(lambda: stack.profiles([user_id]))
    assert (profile.user_id, profile.etag) == (user_id, "0")


async def test_an_account_waits_for_its_address(newcomer: Person) -> None:
    """Before the address is confirmed nobody logs in, and the refusal does not say why."""
    await newcomer.sign_up()
    await newcomer.newest_mail()
    body = {"email": newcomer.email, "password": newcomer.password}
    answer = await newcomer.rest.post("/v1/auth:logIn", json=body)
    assert refusal(answer) == (401, "BAD_CREDENTIALS")


async def test_strangers_cannot_sign_up_for_others(stack: Stack, newcomer: Person) -> None:
    """However often strangers sign an address up, its account opens with its owner's mail and password alone."""
    strangers = [stack.person() for _ in range(int(MAILS_TO_ADDRESS) + 2)]
    for stranger in strangers:
        stranger.email = newcomer.email
        await stranger.sign_up()
    await newcomer.sign_up()
    await newcomer.verify()
    for stranger in strangers:
        body = {"email": stranger.email, "password": stranger.password}
        answer = await stranger.rest.post("/v1/auth:logIn", json=body)
        assert refusal(answer) == (401, "BAD_CREDENTIALS")
        await stranger.rest.aclose()
    assert (await newcomer.log_in())["tokens"]


async def test_logging_in_with_a_second_factor(somebody: Person) -> None:
    """With TOTP the password alone gives a challenge, and the code of the device gives tokens, once."""
    totp = await somebody.enrol_totp()
    challenge = (await somebody.log_in())["challenge"]["challengeToken"]
    body = {"challengeToken": challenge, "totpCode": next_code(totp)}
    somebody.tokens = await somebody.post("/v1/auth:completeSecondFactor", body)
    answer = await somebody.rest.get("/v1/users/me", headers=somebody.bearer)
    assert answer.json()["userId"] == somebody.user_id
    again = await somebody.rest.post("/v1/auth:completeSecondFactor", json=body)
    assert again.status_code == 401, again.text


async def test_changing_a_profile_over_rest(somebody: Person) -> None:
    """A PATCH changes what it holds, a mask clears what it names, an old etag is refused."""
    first = await patch(somebody, {"displayName": "Ada", "handle": handle_of(somebody)})
    assert (first["displayName"], first["etag"]) == ("Ada", "1")
    second = await patch(somebody, {"locale": "pt-PT", "etag": "1"}, mask="displayName,locale")
    assert (second["displayName"], second["locale"], second["handle"]) == ("", "pt-PT", handle_of(somebody))
    stale = await send_patch(somebody, {"displayName": "Late", "etag": "1"})
    assert refusal(stale) == (409, "STALE_PROFILE")


async def test_false_is_a_change_over_rest(somebody: Person) -> None:
    """A field that is sent is changed, also to its zero value."""
    assert (await patch(somebody, {"productNews": True}, "/preferences"))["productNews"] is True
    assert (await patch(somebody, {"productNews": False}, "/preferences"))["productNews"] is False


async def test_nothing_is_dropped_in_silence(somebody: Person) -> None:
    """Unknown fields of bodies, queries and masks are refused by name."""
    body = await send_patch(somebody, {"nickname": "ada"})
    assert (body.status_code, "nickname" in body.text) == (400, True)
    query = await somebody.rest.get("/v1/users/me?verbose=1", headers=somebody.bearer)
    assert (query.status_code, "verbose" in query.text) == (400, True)
    mask = await send_patch(somebody, {}, mask="nickname")
    assert (refusal(mask), "nickname" in mask.text) == ((400, "UNKNOWN_FIELD"), True)


async def test_others_see_the_public_part(somebody: Person, another: Person) -> None:
    """Another's profile holds what is public, and lacks the rest."""
    await patch(somebody, {"displayName": "Ada", "locale": "pt"})
    answer = await another.rest.get(f"/v1/users/{somebody.user_id}", headers=another.bearer)
    seen = answer.json()
    assert (seen["userId"], seen["displayName"]) == (somebody.user_id, "Ada")
    assert not {"locale", "timeZone", "createTime", "updateTime"} & set(seen)


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
async def test_the_same_over_grpc(edge: Edge, somebody: Person, another: Person, tls: bool) -> None:
    """gRPC clients meet the same methods at the same ports, with typed errors."""
    token = (("authorization", f"Bearer {somebody.token}"),)
    async with edge.grpc(tls=tls) as channel:
        stub: Any = UsersServiceStub(channel)
        mine = await stub.UpdateProfile(
            pb.UpdateProfileRequest(profile=pb.Profile(handle=handle_of(somebody))), metadata=token
        )
        assert (mine.user_id, mine.handle) == (somebody.user_id, handle_of(somebody))
        await patch(another, {"handle": handle_of(another)})
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            taken = pb.Profile(handle=handle_of(another))
            await stub.UpdateProfile(pb.UpdateProfileRequest(profile=taken), metadata=token)
        error = decoded(caught.value)
        assert (type(error), error.reason) == (AlreadyExists, "HANDLE_TAKEN")


async def test_rest_over_tls(edge: Edge, somebody: Person) -> None:
    """The TLS port serves REST with a certificate of the local authority."""
    async with edge.rest(tls=True) as rest:
        answer = await rest.get("/v1/users/me", headers=somebody.bearer)
    assert answer.json()["userId"] == somebody.user_id


async def patch(person: Person, body: dict[str, Any], path: str = "", mask: str = "") -> dict[str, Any]:
    answer = await send_patch(person, body, path, mask)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def send_patch(person: Person, body: dict[str, Any], path: str = "", mask: str = "") -> httpx.Response:
    query = {"updateMask": mask} if mask else {}
    return await person.rest.patch(f"/v1/users/me{path}", json=body, params=query, headers=person.bearer)


def handle_of(person: Person) -> str:
    return f"h{person.user_id[-12:]}"
