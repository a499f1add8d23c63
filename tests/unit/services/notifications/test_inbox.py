"""The inbox's use cases, and who is woken when."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from string import Formatter

import pytest

from mesh.model import Caller, OrganisationId, SessionId, Unauthenticated, User, UserId, new_id
from services.notifications.inbox.domain import DEFAULT_PAGE, TEXTS, Inbox, Message, News
from services.notifications.inbox.watching import Watching
from services.notifications.letters import TEMPLATES
from tests.fakes.inbox import FakeInboxes

NOW = datetime(2026, 11, 1, tzinfo=UTC)


def caller(user_id: str) -> Caller:
    return Caller("gateway", User(UserId(user_id), OrganisationId("o"), SessionId("s"), frozenset()))


ADA, BOB = caller(new_id("user", 1)), caller(new_id("user", 2))


class World:
    """An inbox whose watchers are woken when a test says so."""

    def __init__(self) -> None:
        store = FakeInboxes()
        self.watching = Watching(store.versions, every=3600)
        self.inbox = Inbox(store, self.watching.bell, lambda: NOW)

    async def tell(self, count: int = 1, who: Caller = ADA) -> None:
        for _ in range(count):
            await self.inbox.tell(who.signed_in.user_id, "welcome")

    def watch(self, after: int | None = None, who: Caller = ADA) -> AsyncIterator[News]:
        return self.inbox.watch(who, after)


async def take(watch: AsyncIterator[News], count: int) -> list[int]:
    """Numbers of the next messages; 0 where there is only a count."""
    return [news.number if news.message else 0 for news in [await anext(watch) for _ in range(count)]]


async def waits(watch: AsyncIterator[News]) -> asyncio.Task[News]:
    """The next word, which has not come."""
    task = asyncio.ensure_future(anext(watch))
    await asyncio.sleep(0.01)
    assert not task.done()
    return task


async def test_a_watcher_hears_at_once_how_things_stand() -> None:
    """The first word has no message, and says where to go on."""
    world = World()
    await world.tell(3)
    assert await anext(world.watch()) == News(3, 3)
    assert await anext(world.watch(after=1)) == News(1, 3)
    assert await anext(world.watch(who=BOB)) == News(0, 0)


async def test_a_watcher_hears_what_comes() -> None:
    """Messages of the person, as they come; nobody else's."""
    world = World()
    watch = world.watch()
    await anext(watch)
    next_one = await waits(watch)
    await world.tell(who=BOB)
    await world.watching.look()
    await world.tell()
    await world.watching.look()
    news = await next_one
    assert (news.number, news.unread, news.message and news.message.words()[0]) == (1, 1, "Welcome")


@pytest.mark.parametrize("lost_at", [1, 2, 3, 4])
async def test_a_lost_connection_loses_and_repeats_nothing(lost_at: int) -> None:
    """Who goes on after the last number heard gets each message once and in order, whenever the line was lost."""
    world = World()
    await world.tell(3)
    watch = world.watch(after=0)
    heard = [await anext(watch) for _ in range(lost_at)]
    await world.tell(3)
    again = world.watch(after=heard[-1].number)
    heard += [await anext(again) for _ in range(1 + 6 - heard[-1].number)]
    assert [news.number for news in heard if news.message] == [1, 2, 3, 4, 5, 6]
    (await waits(again)).cancel()


async def test_many_messages_come_in_order() -> None:
    """A backlog longer than a page comes whole."""
    world = World()
    await world.tell(2 * DEFAULT_PAGE + 1)
    watch = world.watch(after=0)
    assert await take(watch, 2 * DEFAULT_PAGE + 2) == [0, *range(1, 2 * DEFAULT_PAGE + 2)]


async def test_a_number_from_nowhere_hides_nothing() -> None:
    """Who goes on after a number that is not there yet hears what comes all the same."""
    world = World()
    await world.tell(2)
    watch = world.watch(after=99)
    assert (await anext(watch)).number == 2
    next_one = await waits(watch)
    await world.tell()
    await world.watching.look()
    assert (await next_one).number == 3


async def test_a_watcher_hears_of_what_is_read_elsewhere() -> None:
    """The count changes for all watchers of an inbox, without a message."""
    world = World()
    await world.tell(3)
    watches = [world.watch(), world.watch()]
    for watch in watches:
        await anext(watch)
    tasks = [await waits(watch) for watch in watches]
    assert (await world.inbox.mark_read(ADA, [1], 0)).unread == 2
    await world.watching.look()
    assert await asyncio.gather(*tasks) == [News(3, 2), News(3, 2)]


async def test_the_count_is_right_in_the_end() -> None:
    """A message that comes between the count and the look for messages is told, and then what the count is with it."""
    world = World()
    watch = world.watch()
    assert await anext(watch) == News(0, 0)
    await world.tell()
    assert await take(watch, 1) == [1]
    async with asyncio.timeout(1):
        assert await anext(watch) == News(1, 1)
    (await waits(watch)).cancel()


async def test_nobody_is_woken_for_nothing() -> None:
    """A look that finds nothing new wakes nobody, and without watchers nothing is looked at."""
    world = World()
    await world.tell()
    watch = world.watch()
    await anext(watch)
    next_one = await waits(watch)
    for _ in range(3):
        await world.watching.look()
    await asyncio.sleep(0.01)
    assert not next_one.done()
    next_one.cancel()
    await asyncio.gather(next_one, return_exceptions=True)
    assert world.watching._bells == {}
    assert world.watching._seen == {}


async def test_pages() -> None:
    """A page has its size, and says where the next begins."""
    world = World()
    await world.tell(3)
    page = await world.inbox.messages(ADA, 0, 2, unread_only=False)
    assert ([one.number for one in page.messages], page.before) == ([3, 2], 2)
    page = await world.inbox.messages(ADA, page.before, 2, unread_only=False)
    assert ([one.number for one in page.messages], page.before) == ([1], 0)


async def test_without_a_user_there_is_no_inbox() -> None:
    """Each use case asks who it is for."""
    world, nobody = World(), Caller("users")
    with pytest.raises(Unauthenticated):
        await world.inbox.state(nobody)
    with pytest.raises(Unauthenticated):
        await anext(world.watch(who=nobody))


def test_words_are_made_when_they_are_read() -> None:
    """Of a kind that only a newer release knows, its name is the title."""
    assert Message(1, "welcome", {}, NOW).words() == ("Welcome", "Your account is ready.")
    assert Message(1, "moon_landed", {"where": "Tranquility"}, NOW).words("de") == ("Moon landed", "")


@pytest.mark.parametrize("kind", TEXTS)
def test_every_kind_has_words_in_every_language_of_mails(kind: str) -> None:
    """Each its own, with the same variables."""
    texts = TEXTS[kind]
    assert set(texts) == {path.stem for path in TEMPLATES.glob("*/*.txt")}
    assert len(set(texts.values())) == len(texts)
    needed = [sorted(name for _, name, _, _ in Formatter().parse(text.body) if name) for text in texts.values()]
    assert needed == [needed[0]] * len(texts)


@pytest.mark.parametrize(
    ("locale", "title"), [("de-AT", "Willkommen"), ("pt", "Boas-vindas"), ("fr-CA", "Welcome"), ("", "Welcome")]
)
def test_a_reader_gets_the_nearest_language(locale: str, title: str) -> None:
    """Of their locale, or English."""
    assert Message(1, "welcome", {}, NOW).words(locale)[0] == title


def test_a_message_without_what_its_text_needs_is_told_by_its_kind() -> None:
    """It breaks neither a list nor a push."""
    assert Message(1, "invoice_paid", {}, NOW).words("de") == ("Invoice paid", "")
