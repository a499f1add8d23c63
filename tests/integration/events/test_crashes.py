"""Processes killed with SIGKILL, where it hurts and at random: nothing lost, nothing twice, order kept."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from functools import partial

import pytest

from infra import limits
from infra.events.bus import provision
from infra.postgres import Database
from mesh import model
from mesh.contract import contract
from mesh.tasks import ended
from tests.integration.events.conftest import Site, eventually
from tests.integration.events.story import AccountCreated, RolesChanged, count, effects, happen, histories
from tests.servers import PASSWORD

SECONDS = 8


class Workers:
    """The processes of one test."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, role: str, point: str = "") -> None:
        options = self._site.options({"relay": "auth", "consumer": "users"}[role])
        environment = {f"TULLE_{name.upper()}": str(value) for name, value in options.items()}
        command = [sys.executable, "-m", "tests.integration.events.worker", role, point]
        path = os.pathsep.join((".", "codegen/gen"))
        self._running[role] = subprocess.Popen(
            command, env={**environment, "PYTHONPATH": path}, stdout=subprocess.DEVNULL
        )

    def kill(self, role: str) -> None:
        worker = self._running.pop(role)
        worker.kill()
        worker.wait(10)

    async def died(self, role: str) -> bool:
        return self._running[role].poll() == -9

    def end(self) -> None:
        for role in tuple(self._running):
            self.kill(role)


@pytest.fixture
async def impatient(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The broker delivers again after a second, so that a test need not wait for ten."""
    monkeypatch.setattr(limits, "ACK_WAIT", 1.0)
    await provision(site.nats.url, PASSWORD, contract())


@pytest.fixture
def workers(site: Site, impatient: None) -> Iterator[Workers]:
    found = Workers(site)
    yield found
    found.end()


@pytest.mark.parametrize(
    ("role", "point"),
    [
        ("relay", "published-not-marked"),
        ("consumer", "effect-not-committed"),
        ("consumer", "effect-not-acknowledged"),
    ],
)
async def test_death_at_the_worst_moment_changes_nothing(
    role: str, point: str, auth: Database, users: Database, workers: Workers
) -> None:
    """A process that dies between two of its steps is continued by the next, as if it had not died."""
    for seq in range(1, 6):
        for aggregate in "abc":
            await happen(auth, aggregate, seq)
    workers.start("consumer" if role == "relay" else "relay")
    workers.start(role, point)
    await eventually(partial(workers.died, role))
    workers.start(role)
    await eventually(partial(_reached, users, 15))
    await eventually(partial(_settled, auth))
    assert histories(await effects(users)) == {aggregate: [1, 2, 3, 4, 5] for aggregate in "abc"}


async def test_mayhem(site: Site, auth: Database, users: Database, workers: Workers) -> None:
    """Relay, consumer, broker and database are killed again and again while events are made."""
    seed = random.randrange(10**6)
    chance = random.Random(seed)
    workers.start("relay")
    workers.start("consumer")
    writing = asyncio.create_task(_write(auth, random.Random(seed + 1)))
    killed: list[str] = []
    deadline = asyncio.get_running_loop().time() + SECONDS
    while asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(chance.uniform(0.3, 0.9))
        killed.append(chance.choice(("relay", "relay", "consumer", "consumer", "broker", "database")))
        await _kill(site, workers, killed[-1])
    await ended(writing)
    began = asyncio.get_running_loop().time()
    print(f"seed {seed}: killed {' '.join(killed)}")
    await eventually(partial(_caught_up, auth, users), seconds=40)
    await eventually(partial(_settled, auth))
    made = await _made(auth)
    print(f"{sum(map(len, made.values()))} events, caught up in {asyncio.get_running_loop().time() - began:.1f} s")
    assert histories(await effects(users)) == made


async def _write(auth: Database, chance: random.Random) -> None:
    """Make events as fast as the database lets us; those that were not committed are not missed."""
    seqs = dict.fromkeys((f"a{n}" for n in range(8)), 0)
    while True:
        aggregate = chance.choice(tuple(seqs))
        try:
            # What an interrupted commit did is seen in the table, as a service sees its entity's version.
            seqs[aggregate] = await count(auth, _LAST.format(aggregate)) + 1
            await happen(
                auth, aggregate, seqs[aggregate], chance.choice((AccountCreated, AccountCreated, RolesChanged))
            )
        except model.Error:
            await asyncio.sleep(0.05)


_LAST = "SELECT coalesce(max(aggregate_seq), 0) FROM outbox WHERE aggregate_id = '{}'"


async def _made(auth: Database) -> dict[str, list[int]]:
    query = f"SELECT * FROM outbox WHERE type = '{AccountCreated.type}' ORDER BY aggregate_seq"
    async with auth.connection() as connection:
        return histories([(row["aggregate_id"], row["aggregate_seq"]) for row in await connection.fetch(query)])


async def _kill(site: Site, workers: Workers, victim: str) -> None:
    if victim == "broker":
        site.nats.kill()
        await asyncio.sleep(0.2)
        await site.nats.start()
    elif victim == "database":
        site.postgres.crash()
        await asyncio.to_thread(site.postgres.start)
    else:
        workers.kill(victim)
        workers.start(victim)


async def _caught_up(auth: Database, users: Database) -> bool:
    """Whether there are as many effects as events; a commit that was cut short may show itself late."""
    try:
        return await _reached(users, sum(map(len, (await _made(auth)).values())))
    except model.Unavailable:
        return False


async def _reached(database: Database, number: int) -> bool:
    try:
        return len(await effects(database)) >= number
    except model.Unavailable:
        return False


async def _settled(auth: Database) -> bool:
    return await count(auth, "SELECT count(*) FROM outbox WHERE published_at IS NULL") == 0
