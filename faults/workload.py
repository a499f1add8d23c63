"""People who use the platform while it is harmed: they come, do this and that, and go."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator

from faults.journal import Journal
from faults.person import HANGS, INSISTS, GaveUp, Person
from faults.purchases import buy
from faults.site import Site

BUYS = 0.15
"""How often people buy, of all that they do."""


@contextlib.asynccontextmanager
async def people(site: Site, journal: Journal, seed: int, count: int) -> AsyncIterator[asyncio.Event]:
    """So many people at once, until the event is set; leaving waits for what they have begun."""
    over = asyncio.Event()
    chances = [random.Random(f"{seed}/{number}") for number in range(count)]
    tasks = [asyncio.create_task(_lives(site, journal, chance, over)) for chance in chances]
    try:
        yield over
    finally:
        over.set()
        async with asyncio.timeout(INSISTS + 2 * HANGS):
            await asyncio.gather(*tasks)


async def _lives(site: Site, journal: Journal, chance: random.Random, over: asyncio.Event) -> None:
    """One person after another arrives and lives for a while."""
    while not over.is_set():
        person = Person(site, journal, chance)
        with contextlib.suppress(GaveUp):
            await person.arrive()
            await _lives_on(person, over)
        await person.client.aclose()


async def _lives_on(person: Person, over: asyncio.Event) -> None:
    for _ in range(person.chance.randrange(5, 40)):
        if over.is_set():
            break
        await _live(person)
        await asyncio.sleep(person.chance.uniform(0, 0.2))


async def _live(person: Person) -> None:
    """Do something, whatever comes to mind."""
    whims = (
        person.change,
        person.read,
        person.look,
        person.refresh,
        person.lose_an_answer,
        person.reuse,
        person.intrude,
        person.leave,
    )
    await person.chance.choices(whims, weights=(8, 4, 2, 4, 2, 2, 2, 1))[0]()
    if person.chance.random() < BUYS:
        await buy(person)
