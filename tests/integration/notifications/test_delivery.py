"""From a sign-up to the mail: auth, broker, notifications and mail servers that may be away, all real."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path
from typing import Any, cast

import pytest
from tulle.auth.v1 import auth_pb2 as pb
from tulle.auth.v1.auth_pb2_grpc import AuthServiceStub

from infra.events.bus import open_bus
from infra.events.consumer import Consumer
from infra.postgres import Database, open_database
from infra.settings import ServiceSettings
from mesh.app import App
from mesh.call import Peer
from mesh.model import Unavailable
from mesh.tasks import ended
from mesh.transports.inprocess import InProcess
from services import topology
from services.auth import main as auth
from services.notifications.directory import MeshDirectory
from services.notifications.domain.deliveries import State
from services.notifications.domain.judging import Judging
from services.notifications.domain.pushing import Pushing
from services.notifications.domain.sending import Sending
from services.notifications.domain.unsubscribing import Links
from services.notifications.events import subscriptions
from services.notifications.inbox.domain import Inbox, words
from services.notifications.inbox.limits import WATCH_EVERY
from services.notifications.inbox.store import PostgresInboxes
from services.notifications.inbox.watching import Watching
from services.notifications.letters import Templates
from services.notifications.limits import MAILS_TO_ADDRESS
from services.notifications.main import Settings, _now
from services.notifications.postman import Postman
from services.notifications.preferences_store import PostgresPreferences
from services.notifications.push.domain import Pushes
from services.notifications.push.store import PostgresPushes
from services.notifications.sender import Sender
from services.notifications.store import PostgresStore
from services.notifications.telling import Telling
from tests.integration.notifications.mails import MailServer
from tests.servers import PASSWORD, Nats, Postgres, Valkey

ADA, BOB = "ada@example.com", "bob@example.com"
CHOSEN = "a door of blue glass"


class Local:
    """In the place of the mesh: stubs of services in this process, called as notifications; users is away."""

    def __init__(self, auth: App) -> None:
        self._auth = auth

    def stub(self, kind: Callable[[Any], Any]) -> Any:
        if "Users" in kind.__name__:
            return _Away()
        return kind(InProcess(self._auth, Peer("notifications")))


class _Away:
    async def BatchGetProfiles(self, request: Any, **_: Any) -> Any:
        raise Unavailable


@dataclass
class World:
    """What runs. `ask`: auth, as the gateway asks it."""

    ask: Any
    store: PostgresStore
    mails: MailServer
    spare: MailServer

    async def sign_up(self, email: str) -> None:
        await self.ask.SignUp(pb.SignUpRequest(email=email))

    async def states(self) -> list[State]:
        """Of all mails."""
        found = await self.store.list_deliveries("", "", "", 100)
        return [one.state for one in found if one.channel == "mail"]


@pytest.fixture
async def nats(tmp_path: Path) -> AsyncIterator[Nats]:
    folder = tmp_path / "nats-data"
    folder.mkdir()
    server = Nats(folder)
    await server.start()
    yield server
    server.kill()


@pytest.fixture
async def valkey() -> AsyncIterator[Valkey]:
    with tempfile.TemporaryDirectory(prefix="tulle-v-") as folder:
        server = Valkey(Path(folder))
        server.start()
        await server.ready()
        yield server
        server.kill()


@pytest.fixture
async def options(postgres: Postgres, nats: Nats, valkey: Valkey, tmp_path: Path) -> dict[str, Any]:
    keys = (key for workload in ("auth", "notifications") for key in topology.WORKLOAD[workload].keys)
    for secret in ("postgres", "nats", "valkey", "sidecar", *keys):
        (tmp_path / secret).write_text(PASSWORD)
    return {
        "run_dir": tmp_path,
        "state_dir": tmp_path,
        "secrets_dir": tmp_path,
        "postgres_port": postgres.port,
        "postgres_database": await postgres.new_database(),
        "nats_url": nats.url,
        "valkey_url": valkey.url,
    }


@pytest.fixture
async def world(options: dict[str, Any]) -> AsyncIterator[World]:
    mails, spare = MailServer(), MailServer()
    settings = Settings(**options, smtp_servers=(f"127.0.0.1:{mails.port}", f"127.0.0.1:{spare.port}"))
    async with auth.build(auth.Settings(**options)) as app, sending(settings, app) as store:
        tasks = [asyncio.ensure_future(worker()) for worker in (*app.workers, *app.jobs)]
        channel: Any = InProcess(app, Peer("gateway"))
        try:
            yield World(AuthServiceStub(channel), store, mails, spare)
        finally:
            await ended(*tasks)


@contextlib.asynccontextmanager
async def sending(settings: Settings, app: App) -> AsyncIterator[PostgresStore]:
    """Notifications' consumer and sender at work, as its main has them."""
    async with open_database(settings) as database, open_bus(settings) as bus:
        store, channel = PostgresStore(database), Local(app)
        directory = MeshDirectory(channel)  # type: ignore[arg-type]
        templates, postman = Templates(url=settings.public_url), Postman(settings.smtp_servers, settings.identity())
        judging = Judging(store, PostgresPreferences(database), _now)
        links = Links(b"key", settings.public_url)
        nobody = cast(Any, None)
        pushes = Pushes(PostgresPushes(database), nobody, nobody, words, _now)
        pushing = Pushing(judging, directory, pushes)
        sender = Sender(Sending(store, judging, directory, templates, postman, links, pushing, b"key", _now))
        database.after_commit(sender.wake)
        telling = in_app(database)
        consumer = Consumer(database, bus, settings.workload, subscriptions(store, telling))
        tasks = [asyncio.ensure_future(worker()) for worker in (consumer.run, sender.run)]
        try:
            yield store
        finally:
            await ended(*tasks)


def in_app(database: Database) -> Telling:
    """An inbox that nobody watches."""
    inboxes = PostgresInboxes(database)
    inbox = Inbox(inboxes, Watching(inboxes.versions, WATCH_EVERY).bell, _now)
    return Telling(PostgresStore(database), inbox, PostgresPreferences(database), _now)


async def eventually(true: Callable[[], object], seconds: float = 20) -> None:
    deadline = asyncio.get_running_loop().time() + seconds
    while not true():
        assert asyncio.get_running_loop().time() < deadline, "it never came true"
        await asyncio.sleep(0.02)


async def settled(world: World, *states: State) -> None:
    """Wait until deliveries have come to these, in any order: different mails are different aggregates."""
    deadline = asyncio.get_running_loop().time() + 20
    while (found := sorted(await world.states())) != sorted(states):
        assert asyncio.get_running_loop().time() < deadline, found
        await asyncio.sleep(0.02)


def token_of(mail: EmailMessage) -> str:
    body = mail.get_body(("plain",))
    assert body is not None
    text: str = body.get_content()
    return next(line for line in text.splitlines() if line.startswith("mail_"))


async def test_a_mail_brings_the_token(world: World) -> None:
    """The owner gets the token; a second sign-up tells the owner, and a reset of a stranger tells nobody."""
    async with world.mails.running():
        await world.sign_up(ADA)
        await eventually(lambda: world.mails.to(ADA))
        token = token_of(world.mails.to(ADA)[0])
        assert (await world.ask.VerifyEmail(pb.VerifyEmailRequest(token=token, password=CHOSEN))).user_id
        await world.ask.RequestPasswordReset(pb.RequestPasswordResetRequest(email=BOB))
        await world.sign_up(ADA)
        await world.ask.RequestPasswordReset(pb.RequestPasswordResetRequest(email=ADA.upper()))
        await eventually(lambda: len(world.mails.mails) == 3)
        await settled(world, State.SENT, State.WITHHELD, State.SENT, State.SENT)
    subjects = {mail["Subject"] for mail in world.mails.to(ADA)}
    assert subjects == {"Confirm your address", "You have an account already", "Reset your password"}


async def test_a_mail_server_may_be_away(world: World) -> None:
    """Sign-ups are accepted while mail cannot go out; it goes out afterwards, once to each."""
    for email in (ADA, BOB):
        await world.sign_up(email)
    await settled(world, State.WAITING, State.WAITING)
    async with world.mails.running():
        await settled(world, State.SENT, State.SENT)
    assert sorted(mail["To"] for mail in world.mails.mails) == [ADA, BOB]


async def test_another_server_takes_over(world: World) -> None:
    """While the first mail server is away or takes nothing, the next one takes the mail."""
    async with world.spare.running():
        await world.sign_up(ADA)
        await settled(world, State.SENT)
        assert len(world.spare.to(ADA)) == 1
        async with world.mails.running():
            world.mails.says = ["451 Try again"]
            await world.sign_up(BOB)
            await settled(world, State.SENT, State.SENT)
    assert len(world.spare.to(BOB)) == 1


async def test_a_mail_sent_twice_is_one_mail(world: World) -> None:
    """A mail server that takes a mail without saying so gets it again: one Message-ID, one token."""
    world.mails.says = ["451 Try again", "451 Try again"]
    async with world.mails.running():
        await world.sign_up(ADA)
        await eventually(lambda: len(world.mails.mails) == 3)
        await settled(world, State.SENT)
    assert len({mail["Message-ID"] for mail in world.mails.mails}) == 1
    assert len({token_of(mail) for mail in world.mails.mails}) == 1


async def test_an_address_that_is_refused_is_not_tried_again(world: World) -> None:
    """A mail server's last word is kept as the outcome, and nobody else's mail waits for it."""
    world.mails.knows = {BOB}
    async with world.mails.running():
        await world.sign_up(ADA)
        await settled(world, State.FAILED)
        await world.sign_up(BOB)
        await settled(world, State.FAILED, State.SENT)
    (failed,) = [one for one in await world.store.list_deliveries("", "", "verify", 10) if one.state is State.FAILED]
    assert failed.reason == "UNDELIVERABLE"


async def test_nobody_is_flooded(world: World) -> None:
    """However often somebody signs an address up, its box gets so many mails, all good; another gets its own."""
    async with world.mails.running():
        for number in range(int(MAILS_TO_ADDRESS)):
            await world.sign_up(ADA)
            await eventually(lambda: world.mails.to(ADA)[number:])  # noqa: B023 (called before the next number)
        for email in (ADA.upper(), ADA, BOB):
            await world.sign_up(email)
        await settled(world, *[State.SENT] * int(MAILS_TO_ADDRESS), State.WITHHELD, State.WITHHELD, State.SENT)
    assert len(world.mails.mails) == MAILS_TO_ADDRESS + 1
    token = token_of(world.mails.to(ADA)[0])
    assert (await world.ask.VerifyEmail(pb.VerifyEmailRequest(token=token, password=CHOSEN))).user_id


async def test_no_address_is_kept(world: World, options: dict[str, Any]) -> None:
    """Deliveries know addresses by a keyed hash alone."""
    async with world.mails.running():
        await world.sign_up(ADA)
        await settled(world, State.SENT)
    settings = ServiceSettings(workload="notifications", **options)
    async with open_database(settings) as database, database.connection() as connection:
        (found,) = await connection.fetch("SELECT * FROM deliveries")
    assert ADA not in str(dict(found))
    assert len(found["recipient"]) == 32
