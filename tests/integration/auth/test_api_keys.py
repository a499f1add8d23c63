"""ApiKeysService through the whole pipeline and PostgreSQL, with tokens that are really signed."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from tulle.auth.v1 import api_keys_pb2 as pb
from tulle.auth.v1 import auth_pb2

from mesh.model import Denied, Unauthenticated
from services.auth.domain.errors import BadApiKey, BadExpireTime
from tests.integration.auth.conftest import Process
from tests.integration.auth.test_service import PASSWORD, log_in, verified


async def made(process: Process) -> tuple[Any, Any]:
    """ApiKeysService for Ada, and a key of hers."""
    await verified(process)
    mine = process.api_keys((await log_in(process)).tokens.access_token)
    request = pb.CreateApiKeyRequest(name="nightly export", scopes=["users.read"], password=PASSWORD)
    return mine, await mine.CreateApiKey(request)


async def test_a_token_by_a_key_says_whose_and_what_for(process: Process) -> None:
    """It verifies like any other, with the key for its session, and asks for a person where the contract does."""
    mine, key = await made(process)
    token = await process.api_keys().ExchangeApiKey(pb.ExchangeApiKeyRequest(api_key=key.secret))
    user, _ = await process.app.tokens.verify(token.access_token)
    assert (user.session_id, user.scopes) == (key.api_key.api_key_id, frozenset({"users.read"}))
    assert user.organisation_id == token.organisation_id == key.api_key.organisation_id
    for refused in (
        process.api_keys(token.access_token).ListApiKeys(pb.ListApiKeysRequest()),
        process.stub(token.access_token).LogOut(auth_pb2.LogOutRequest()),
    ):
        with pytest.raises(Denied):
            await refused
    (listed,) = (await mine.ListApiKeys(pb.ListApiKeysRequest())).api_keys
    assert listed.api_key_id == key.api_key.api_key_id and listed.HasField("use_time")


async def test_a_revocation_is_seen_at_once(process: Process) -> None:
    """By the exchange, by whoever asks whether the key lives, and by fresh methods."""
    mine, key = await made(process)
    exchange = pb.ExchangeApiKeyRequest(api_key=key.secret)
    token = (await process.api_keys().ExchangeApiKey(exchange)).access_token
    living = auth_pb2.CheckSessionRequest(session_id=key.api_key.api_key_id)
    assert (await process.accounts().CheckSession(living)).user_id
    await mine.RevokeApiKey(pb.RevokeApiKeyRequest(api_key_id=key.api_key.api_key_id))
    with pytest.raises(BadApiKey):
        await process.api_keys().ExchangeApiKey(exchange)
    for ended in (
        process.accounts().CheckSession(living),
        process.api_keys(token).ListApiKeys(pb.ListApiKeysRequest()),
    ):
        with pytest.raises(Unauthenticated):
            await ended


async def test_a_grace_of_nothing_is_not_the_default(process: Process) -> None:
    """0 seconds end the old secret at once; without a number it stays good."""
    mine, key = await made(process)
    rotation = pb.RotateApiKeyRequest(api_key_id=key.api_key.api_key_id, password=PASSWORD)
    second = await mine.RotateApiKey(rotation)
    assert await process.api_keys().ExchangeApiKey(pb.ExchangeApiKeyRequest(api_key=key.secret))
    rotation.grace_seconds = 0
    await mine.RotateApiKey(rotation)
    with pytest.raises(BadApiKey):
        await process.api_keys().ExchangeApiKey(pb.ExchangeApiKeyRequest(api_key=second.secret))


@pytest.mark.parametrize(
    "never",
    [Timestamp(seconds=10**14), Timestamp(seconds=-(10**14)), Timestamp(seconds=10**9, nanos=-1)],
    ids=["after all years", "before all years", "no fraction of a second"],
)
async def test_an_end_that_is_no_time_is_refused_by_name(process: Process, never: Timestamp) -> None:
    """Over gRPC a timestamp may say what no calendar has: it is the caller's mistake, and names its field."""
    mine, key = await made(process)
    for refused in (
        mine.CreateApiKey(
            pb.CreateApiKeyRequest(name="bot", scopes=["users.read"], password=PASSWORD, expire_time=never)
        ),
        mine.RotateApiKey(
            pb.RotateApiKeyRequest(api_key_id=key.api_key.api_key_id, password=PASSWORD, expire_time=never)
        ),
    ):
        with pytest.raises(BadExpireTime) as caught:
            await refused
        assert [one.field for one in caught.value.violations] == ["expire_time"]
