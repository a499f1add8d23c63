"""An inbox that several replicas serve, over one PostgreSQL."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from infra.postgres import open_database
from mesh.model import Caller, OrganisationId, SessionId, User, UserId, new_id
from mesh.tasks import ended
from services.notifications.inbox.domain import Inbox
from services.notifications.inbox.store import PostgresInboxes
from services.notifications.inbox.watching import Watching
from services.notifications.main import Settings, _now
from tests.servers import PASSWORD, Postgres

MESSAGES = 40


@pytest.fixture
async def settings(postgres: Postgres, tmp_path: Path) -> Settings:
    (tmp_path / "postgres").write_text(PASSWORD)
    folders: dict[str, Any] = {"run_dir": tmp_path, "state_dir": tmp_path, "secrets_dir": tmp_path}
    return Settings(**folders, postgres_port=postgres.port, postgres_database=await postgres.new_database())


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
