"""Senders killed with SIGKILL, where it hurts and at random: security arrives, nothing else arrives twice."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from infra.postgres import open_database
from mesh.model import UserId
from services.notifications.domain.deliveries import Delivery, Outcome, Reason, State
from services.notifications.main import Settings
from services.notifications.store import PostgresStore
from tests.integration.notifications.mails import MailServer
from tests.servers import PASSWORD, Postgres

SEED = int(os.environ.get("SEED", "0")) or random.randrange(2**32)
DEATHS = 4
OVER = (State.SENT, State.LOST)


class Senders:
    """The processes of one test."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._running: list[subprocess.Popen[bytes]] = []

    def start(self, point: str = "") -> subprocess.Popen[bytes]:
        values = self._settings.model_dump() | {"smtp_servers": ",".join(self._settings.smtp_servers)}
        environment = {f"TULLE_{name.upper()}": str(value) for name, value in values.items()}
        command = [sys.executable, "-m", "tests.integration.notifications.worker", point]
        path = os.pathsep.join((".", "codegen/gen"))
        started = subprocess.Popen(command, env={**environment, "PYTHONPATH": path}, stdout=subprocess.DEVNULL)
        self._running.append(started)
        return started

    async def die(self, point: str) -> None:
        """Start one that kills itself there, and wait until it has."""
        assert await asyncio.to_thread(self.start(point).wait, 20) == -9

    def kill(self) -> None:
        for sender in self._running:
            sender.kill()
            sender.wait(10)
        self._running.clear()


@pytest.fixture
async def mails() -> AsyncIterator[MailServer]:
    server = MailServer()
    async with server.running():
        yield server


@pytest.fixture
async def settings(postgres: Postgres, mails: MailServer, tmp_path: Path) -> Settings:
    (tmp_path / "postgres").write_text(PASSWORD)
    return Settings(
        run_dir=tmp_path,
        state_dir=tmp_path,
        secrets_dir=tmp_path,
        postgres_port=postgres.port,
        postgres_database=await postgres.new_database(),
        smtp_servers=(f"127.0.0.1:{mails.port}",),
    )


@pytest.fixture
async def store(settings: Settings) -> AsyncIterator[PostgresStore]:
    async with open_database(settings) as database:
        yield PostgresStore(database)


@pytest.fixture
def senders(settings: Settings) -> Iterator[Senders]:
    found = Senders(settings)
    yield found
    found.kill()


def wanted(name: str, *, security: bool) -> Delivery:
    now = datetime.now(UTC)
    return Delivery(
        delivery_id=f"delivery_{name}",
        event_id=f"event_{name}",
        kind="password_changed" if security else "invoice_paid",
        user_id=UserId(f"user_{name}"),
        variables={} if security else {"number": name, "amount_minor": "100", "currency": "EUR"},
        repeatable=security,
        create_time=now,
        not_before=now,
    )


async def over(store: PostgresStore) -> dict[str, Delivery]:
    """All deliveries, once something has come of each."""
    deadline = asyncio.get_running_loop().time() + 30
    while True:
        found = await store.list_deliveries("", "", "", 1000)
        if all(one.state in OVER for one in found):
            return {one.delivery_id: one for one in found}
        assert asyncio.get_running_loop().time() < deadline, found
        await asyncio.sleep(0.1)


async def eventually(true: Callable[[], bool]) -> None:
    deadline = asyncio.get_running_loop().time() + 30
    while not true():
        assert asyncio.get_running_loop().time() < deadline, "it never came true"
        await asyncio.sleep(0.002)


@pytest.mark.parametrize(
    ("security", "point", "arrived", "state"),
    [
        (True, "claimed-not-sent", 1, State.SENT),
        (True, "taken-not-marked", 2, State.SENT),
        (False, "claimed-not-sent", 0, State.LOST),
        (False, "taken-not-marked", 1, State.LOST),
    ],
)
async def test_death_at_the_worst_moment(
    security: bool, point: str, arrived: int, state: State, store: PostgresStore, mails: MailServer, senders: Senders
) -> None:
    """Security goes out again, under the same Message-ID; anything else does not, and says that nobody knows."""
    await store.add(wanted("1", security=security))
    await senders.die(point)
    senders.start()
    found = (await over(store))["delivery_1"]
    assert (found.state, found.history[-1].state) == (state, state)
    assert [mail["Message-ID"] for mail in mails.mails] == ["<delivery_1@tulle.local>"] * arrived


async def test_a_digest_dies_whole(store: PostgresStore, mails: MailServer, senders: Senders) -> None:
    """Its sender killed after the mail server took it, it went out once, and all that it named says so."""
    now = datetime.now(UTC)
    digest = Delivery(
        delivery_id="delivery_0",
        event_id="billing_digest:now",
        kind="billing_digest",
        user_id=UserId("user_1"),
        repeatable=False,
        create_time=now,
        not_before=now + timedelta(seconds=0.5),
    )
    held = Outcome(State.WAITING, Reason.DIGEST, digest.not_before, digest.kind)
    for name in ("1", "2"):
        await store.add(wanted(name, security=False))
        claimed = await store.claim(datetime.now(UTC), now)
        assert claimed
        await store.collect(claimed, held, digest, now)
    await senders.die("taken-not-marked")
    senders.start()
    assert {one.state for one in (await over(store)).values()} == {State.LOST}
    assert len(mails.mails) == 1


async def test_death_at_random(store: PostgresStore, mails: MailServer, senders: Senders) -> None:
    """Whenever senders die: all of security arrives, nothing else arrives twice, and what is called sent was."""
    chance, sent = random.Random(SEED), 0
    for _ in range(DEATHS):
        senders.start()
        for _ in range(20):
            await store.add(wanted(str(sent), security=sent % 2 == 0))
            sent += 1
        more = len(mails.mails) + chance.randint(1, 12)
        await eventually(lambda: len(mails.mails) >= more)  # noqa: B023 (called before the next one)
        await asyncio.sleep(chance.uniform(0, 0.02))
        senders.kill()
    senders.start()
    found = await over(store)
    arrived = Counter(str(mail["Message-ID"]).strip("<>").partition("@")[0] for mail in mails.mails)
    security = [name for name, one in found.items() if one.repeatable]
    assert all(arrived[name] >= 1 for name in security), f"seed {SEED}"
    assert all(arrived[name] <= 1 for name in found if name not in security), f"seed {SEED}"
    assert all(arrived[name] for name, one in found.items() if one.state is State.SENT), f"seed {SEED}"
    assert len(found) == sent
