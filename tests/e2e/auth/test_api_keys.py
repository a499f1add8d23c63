"""API keys on a running stack, as the programs of people use them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from tulle.billing.v1 import billing_pb2
from tulle.billing.v1.billing_pb2_grpc import BillingServiceStub
from tulle.users.v1 import users_pb2
from tulle.users.v1.users_pb2_grpc import UsersServiceStub

from tests.e2e.api_keys import API_KEYS, exchange, exchanged, make_key, rotate_key
from tests.e2e.doors import Edge, Sidecar
from tests.e2e.people import Person
from tests.e2e.rest import refusal

WATCH = "/v1/inbox/messages:watch"


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


async def watched(rest: httpx.AsyncClient, headers: Mapping[str, str]) -> tuple[int, str]:
    """The status of a fresh method that keys may call; it streams, so its first bytes are enough."""
    async with rest.stream("GET", WATCH, headers=headers) as answer:
        if answer.status_code == 200:
            return 200, ""
        await answer.aread()
        return refusal(answer)


async def test_a_key_does_what_it_was_made_for(somebody: Person) -> None:
    """By REST a program reads with the scope for reading; writing, other domains and what is for people are refused."""
    made: dict[str, Any] = {}

    async def make() -> None:
        made.update(await make_key(somebody, "users.read"))

    await somebody.mail_after(make)
    assert "API key" in await somebody.newest_mail()
    by_key = bearer(await exchanged(somebody, made["secret"]))
    profile = await somebody.rest.get("/v1/users/me", headers=by_key)
    assert (profile.status_code, profile.json()["userId"]) == (200, somebody.user_id)
    beyond = [
        await somebody.rest.patch("/v1/users/me", json={"displayName": "Program"}, headers=by_key),
        await somebody.rest.get("/v1/invoices", headers=by_key),
        await somebody.rest.get("/v1/auth/sessions", headers=by_key),
        await somebody.rest.get(API_KEYS, headers=by_key),
        await somebody.rest.delete(f"{API_KEYS}/{made['apiKey']['apiKeyId']}", headers=by_key),
        await somebody.rest.post("/v1/auth:logOut", json={}, headers=by_key),
        await somebody.rest.get("/v1/users", headers=by_key),
    ]
    assert [answer.status_code for answer in beyond] == [403] * len(beyond)
    assert {refusal(answer)[1] for answer in beyond} == {"DENIED"}


@pytest.mark.parametrize("door", ["edge", "sidecar"])
async def test_the_same_holds_over_grpc(
    edge: Edge, sidecars: Mapping[str, Sidecar], certificates: Path, somebody: Person, door: str
) -> None:
    """At the edge, and at the sidecars for whoever forwards the token: not the gateway alone decides."""
    token = await exchanged(somebody, (await make_key(somebody, "billing.usage", "users.read"))["secret"])
    metadata = [("authorization", f"Bearer {token}")]

    async def ask(users: grpc.aio.Channel, billing: grpc.aio.Channel) -> None:
        stub: Any = UsersServiceStub(users)
        assert (await stub.GetProfile(users_pb2.GetProfileRequest(), metadata=metadata)).user_id == somebody.user_id
        plans: Any = BillingServiceStub(billing)
        for refused in (
            stub.UpdateProfile(users_pb2.UpdateProfileRequest(), metadata=metadata),
            plans.ListSubscriptions(billing_pb2.ListSubscriptionsRequest(), metadata=metadata),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await refused
            assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED

    if door == "edge":
        async with edge.grpc() as channel:
            await ask(channel, channel)
    else:
        shown = certificates / "gateway"
        async with sidecars["users"].channel(shown) as users, sidecars["billing"].channel(shown) as billing:
            await ask(users, billing)


async def test_a_key_is_rotated_without_a_gap(somebody: Person) -> None:
    """Old and new secret are good for the grace; the next rotation ends the oldest at once, and 0 s both."""
    made = await make_key(somebody, "users.read")
    api_key_id, secrets = made["apiKey"]["apiKeyId"], [made["secret"]]
    secrets.append((await rotate_key(somebody, api_key_id))["secret"])
    assert [(await exchange(somebody, secret)).status_code for secret in secrets] == [200, 200]
    secrets.append((await rotate_key(somebody, api_key_id, graceSeconds=60))["secret"])
    assert [(await exchange(somebody, secret)).status_code for secret in secrets] == [401, 200, 200]
    secrets.append((await rotate_key(somebody, api_key_id, graceSeconds=0))["secret"])
    answers = [await exchange(somebody, secret) for secret in secrets]
    assert [answer.status_code for answer in answers] == [401, 401, 401, 200]
    assert refusal(answers[0]) == (401, "BAD_API_KEY")
    (listed,) = (await somebody.rest.get(API_KEYS, headers=somebody.bearer)).json()["apiKeys"]
    assert (listed["apiKeyId"], listed["scopes"], "useTime" in listed) == (api_key_id, ["users.read"], True)
    assert not {"secret", "secretHash"} & listed.keys()


async def test_a_revoked_key_is_refused(somebody: Person) -> None:
    """At once by the exchange and by what asks auth at each call."""
    made = await make_key(somebody, "notifications.read")
    by_key = bearer(await exchanged(somebody, made["secret"]))
    assert await watched(somebody.rest, by_key) == (200, "")
    revoked = await somebody.rest.delete(f"{API_KEYS}/{made['apiKey']['apiKeyId']}", headers=somebody.bearer)
    assert revoked.status_code == 200, revoked.text
    assert refusal(await exchange(somebody, made["secret"])) == (401, "BAD_API_KEY")
    assert await watched(somebody.rest, by_key) == (401, "SESSION_ENDED")


async def test_keys_outlive_sessions_and_not_a_reset(somebody: Person) -> None:
    """A program goes on when its owner logs out everywhere; a reset of the password ends it."""
    made: dict[str, Any] = {}

    async def make() -> None:
        made.update(await make_key(somebody, "users.read"))

    await somebody.mail_after(make)
    secret = made["secret"]
    await somebody.post("/v1/auth/sessions:revokeAll", {}, signed_in=True)
    assert (await exchange(somebody, secret)).status_code == 200
    await somebody.mail_after(lambda: somebody.post("/v1/auth:requestPasswordReset", {"email": somebody.email}))
    body = {"token": await somebody.token_from_mail(), "newPassword": "an entirely new passphrase"}
    await somebody.post("/v1/auth:resetPassword", body)
    assert refusal(await exchange(somebody, secret)) == (401, "BAD_API_KEY")


async def test_an_administrator_s_key_is_no_administrator(somebody: Person, stack: Any) -> None:
    """What the platform has given to a person, no program of theirs has."""
    await stack.appoint(somebody)
    await somebody.log_in()
    assert (await somebody.rest.get("/v1/users", headers=somebody.bearer)).status_code == 200
    by_key = bearer(await exchanged(somebody, (await make_key(somebody, "users.read", "users.write"))["secret"]))
    assert (await somebody.rest.get("/v1/users", headers=by_key)).status_code == 403
