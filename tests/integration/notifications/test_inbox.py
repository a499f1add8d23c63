"""An inbox that several replicas serve, over one PostgreSQL."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tulle.notifications.v1 import inbox_pb2 as pb
from tulle.notifications.v1.inbox_pb2_grpc import InboxServiceStub

from infra.postgres import open_database
from mesh.model import Caller, OrganisationId, SessionId, User, UserId, new_id
from mesh.tasks import ended
from services.notifications.inbox.domain import Inbox
from services.notifications.inbox.servicer import InboxServicer
from services.notifications.inbox.store import PostgresInboxes
from services.notifications.inbox.watching import Watching
from services.notifications.main import Settings, _now
from tests.integration.notifications.conftest import Process
from tests.servers import PASSWORD, Postgres

ADA = "user_01k3v7c2e5f9rbq0j4mzx8w6td"
MESSAGES = 40


@pytest.fixture
async def settings(postgres: Postgres, tmp_path: Path) -> Settings:
    (tmp_path / "postgres").write_text(PASSWORD)
    folders: dict[str, Any] = {"run_dir": tmp_path, "state_dir": tmp_path, "secrets_dir": tmp_path}
    return Settings(**folders, postgres_port=postgres.port, postgres_database=await postgres.new_database())


class Users:
    """In the place of users' profiles: what everybody reads, and how often that was asked."""

    def __init__(self, reads: str) -> None:
        self.reads, self.asked = reads, 0

    async def locale(self, user_id: UserId) -> str:
        self.asked += 1
        return self.reads


@asynccontextmanager
async def replica(settings: Settings) -> AsyncIterator[Inbox]:
    """A process of notifications, with connections and watchers of its own."""
    async with open_database(settings) as database:
        inboxes = PostgresInboxes(database)
        watching = Watching(inboxes.versions, every=0.02)
        looking = asyncio.create_task(watching.run())
        try:
            yield Inbox(inboxes, watching.bell, _now)
        finally:
            await ended(looking)


async def reader(inboxes: list[Inbox], caller: Caller) -> list[int]:
    """Hears all messages although its line is lost again and again, and comes back at whichever replica."""
    heard: list[int] = []
    at = 0
    while len(heard) < MESSAGES:
        async with aclosing(random.choice(inboxes).watch(caller, at)) as told:  # type: ignore[type-var]
            words = random.randint(1, 6)
            async for news in told:
                at = news.number
                heard += [news.number] if news.message else []
                words -= 1
                if not words or len(heard) >= MESSAGES:
                    break
    return heard


async def test_readers_lose_and_repeat_nothing_wherever_they_are(settings: Settings) -> None:
    """Told from several replicas at once, read at several, over lines that break: each message once, in order."""
    ada = UserId(new_id("user"))
    caller = Caller("gateway", User(ada, OrganisationId("o"), SessionId("s"), frozenset()))
    async with AsyncExitStack() as stack:
        replicas = [await stack.enter_async_context(replica(settings)) for _ in range(3)]
        readers = [asyncio.create_task(reader(replicas, caller)) for _ in range(6)]

        async def teller(inbox: Inbox) -> None:
            for _ in range(MESSAGES // 4):
                await inbox.tell(ada, "welcome")
                await asyncio.sleep(random.uniform(0, 0.02))

        await asyncio.gather(*(teller(random.choice(replicas)) for _ in range(4)))
        heard = await asyncio.wait_for(asyncio.gather(*readers), 20)
    assert heard == [list(range(1, MESSAGES + 1))] * len(readers)


async def test_a_reader_is_asked_for_once_a_call(process: Process) -> None:
    """A list is in the reader's language, a stream too, which asks when it has something to tell."""
    inbox, users = process.servicer(InboxServicer).inbox, Users("de-AT")
    process.servicer(InboxServicer).locales = users
    stub = process.stub(InboxServiceStub, ADA)
    assert not (await stub.ListMessages(pb.ListMessagesRequest())).messages
    news = stub.WatchMessages(pb.WatchMessagesRequest(after=0))
    assert not (await anext(news)).HasField("message")
    assert users.asked == 0
    for _ in range(3):
        await inbox.tell(UserId(ADA), "welcome")
    page = await stub.ListMessages(pb.ListMessagesRequest())
    assert {one.title for one in page.messages} == {"Willkommen"}
    assert users.asked == 1
    async with aclosing(stub.WatchMessages(pb.WatchMessagesRequest(after=0))) as told:
        titles = [(await anext(told)).message.title for _ in range(4)]
    assert titles == ["", *["Willkommen"] * 3]
    assert users.asked == 2
    await news.aclose()


async def test_an_inbox_is_read_while_users_is_away(process: Process) -> None:
    """In English."""
    await process.servicer(InboxServicer).inbox.tell(UserId(ADA), "welcome")
    page = await process.stub(InboxServiceStub, ADA).ListMessages(pb.ListMessagesRequest())
    assert [one.title for one in page.messages] == ["Welcome"]
