"""The inbox on the running stack: from a sign-up to a message that appears while somebody looks."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import grpc
import pytest
from tulle.notifications.v1 import inbox_pb2 as pb
from tulle.notifications.v1.inbox_pb2_grpc import InboxServiceStub

from tests.e2e.doors import Edge
from tests.e2e.people import PATIENCE, Person
from tests.e2e.stacks import Stack

WATCH = "/v1/inbox/messages:watch"


async def watch(person: Person, query: str = "") -> AsyncIterator[dict[str, Any]]:
    """What a watcher hears over REST, heartbeats left out."""
    async with person.rest.stream("GET", WATCH + query, headers=person.bearer, timeout=PATIENCE) as answer:
        assert (answer.status_code, answer.headers["content-type"]) == (200, "text/event-stream")
        async for line in answer.aiter_lines():
            if line and (news := json.loads(line.removeprefix("data: "))).get("inbox"):
                yield news


async def first_message(person: Person, query: str) -> dict[str, Any]:
    async with aclosing(watch(person, query)) as told:  # type: ignore[type-var]
        async for news in told:
            if news.get("message"):
                return dict(news)
    raise AssertionError("the stream ended")


async def test_who_signs_up_is_welcomed_live(stack: Stack) -> None:
    """A new account's watcher sees the welcome appear; afterwards it is there, unread, until it is marked."""
    person = await stack.person().arrive()
    news = await asyncio.wait_for(first_message(person, "?after=0"), PATIENCE)
    assert (news["message"]["number"], news["message"]["kind"]) == ("1", "welcome")
    assert news["message"]["title"]
    page = (await person.rest.get("/v1/inbox/messages?unreadOnly=true", headers=person.bearer)).json()
    assert [one["kind"] for one in page["messages"]] == ["welcome"]
    assert (await person.post("/v1/inbox/messages:markRead", {"upTo": "1"}, signed_in=True))["unreadCount"] == 0
    inbox = (await person.rest.get("/v1/inbox", headers=person.bearer)).json()
    assert inbox == {"number": "1", "unreadCount": 0}


async def test_an_inbox_is_in_its_owner_s_language(stack: Stack) -> None:
    """As the profile says, at the next look."""
    person = await stack.person().arrive()
    await asyncio.wait_for(first_message(person, "?after=0"), PATIENCE)
    (await person.rest.patch("/v1/users/me", json={"locale": "pt-PT"}, headers=person.bearer)).raise_for_status()
    page = (await person.rest.get("/v1/inbox/messages", headers=person.bearer)).json()
    assert [one["title"] for one in page["messages"]] == ["Boas-vindas"]
    assert (await first_message(person, "?after=0"))["message"]["title"] == "Boas-vindas"


async def test_all_of_a_person_s_devices_hear_it(stack: Stack, edge: Edge) -> None:
    """What is marked as read over REST is told to a watcher over gRPC, and the other way round nobody else's is."""
    person = await stack.person().arrive()
    await first_message(person, "?after=0")
    async with edge.grpc() as channel:
        stub: Any = InboxServiceStub(channel)
        metadata = (("authorization", f"Bearer {person.token}"),)
        told = stub.WatchMessages(pb.WatchMessagesRequest(), metadata=metadata, timeout=PATIENCE)
        assert (await told.read()).inbox == pb.Inbox(number=1, unread_count=1)
        await person.post("/v1/inbox/messages:markRead", {"numbers": ["1"]}, signed_in=True)
        assert (await told.read()).inbox == pb.Inbox(number=1)
        told.cancel()


async def test_a_watcher_goes_with_its_session(stack: Stack, edge: Edge) -> None:
    """A session that has ended opens no stream, though its access token is still good."""
    person = await stack.person().arrive()
    async with edge.grpc() as channel:
        stub: Any = InboxServiceStub(channel)
        metadata = (("authorization", f"Bearer {person.token}"),)
        await person.post("/v1/auth:logOut", {}, signed_in=True)
        told = stub.WatchMessages(pb.WatchMessagesRequest(), metadata=metadata, timeout=PATIENCE)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await told.read()
        assert refused.value.code() == grpc.StatusCode.UNAUTHENTICATED
