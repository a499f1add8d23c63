"""From a sign-up to the mail: outbox, broker, consumer and a mail server that may be away."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Callable
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session
from tulle.auth.v1 import auth_pb2 as pb
from tulle.auth.v1.auth_pb2_grpc import AuthServiceStub

from mesh.app import App
from mesh.call import Peer
from mesh.tasks import ended
from mesh.transports.inprocess import InProcess
from services.auth.main import Settings, build
from services.auth.throttle import MAILS
from tests.servers import Nats, Valkey, free_port

ADA, BOB = "ada@example.com", "bob@example.com"
PASSWORD = "a door of blue glass"


class MailServer:
    """Keeps what it takes; `faults` is how many mails it takes without saying so."""

    def __init__(self) -> None:
        self.port = free_port()
        self.mails: list[EmailMessage] = []
        self.faults = 0

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        assert isinstance(envelope.content, bytes)
        mail: Any = message_from_bytes(envelope.content, policy=policy.default)
        assert [mail["To"]] == envelope.rcpt_tos
        self.mails.append(mail)
        if self.faults > 0:
            self.faults -= 1
            return "451 Try again"
        return "250 Kept"

    def to(self, address: str) -> list[EmailMessage]:
        return [mail for mail in self.mails if mail["To"] == address]

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: SMTP(self, hostname="test"), "127.0.0.1", self.port)
        async with server:
            yield


@contextlib.asynccontextmanager
async def working(app: App) -> AsyncIterator[Any]:
    """AuthService, with the process's workers at work."""
    tasks = [asyncio.ensure_future(worker()) for worker in (*app.workers, *app.jobs)]
    try:
        channel: Any = InProcess(app, Peer("gateway"))
        yield AuthServiceStub(channel)
    finally:
        await ended(*tasks)


@pytest.fixture
async def nats(tmp_path: Path) -> AsyncIterator[Nats]:
    folder = tmp_path / "nats-data"
    folder.mkdir()
    server = Nats(folder)
    await server.start()
    yield server
    server.kill()


@pytest.fixture
def mail_server() -> MailServer:
    return MailServer()


@pytest.fixture
async def valkey() -> AsyncIterator[Valkey]:
    with tempfile.TemporaryDirectory(prefix="tulle-v-") as folder:
        server = Valkey(Path(folder))
        server.start()
        await server.ready()
        yield server
        server.kill()


@pytest.fixture
async def stub(settings: Settings, nats: Nats, valkey: Valkey, mail_server: MailServer) -> AsyncIterator[Any]:
    boxes = {"nats_url": nats.url, "valkey_url": valkey.url, "smtp_port": mail_server.port}
    real = settings.model_copy(update=boxes)
    async with build(real) as app, working(app) as stub:
        yield stub


async def sign_up(stub: Any, email: str) -> None:
    await stub.SignUp(pb.SignUpRequest(email=email))


async def eventually(true: Callable[[], object], seconds: float = 20) -> None:
    deadline = asyncio.get_running_loop().time() + seconds
    while not true():
        assert asyncio.get_running_loop().time() < deadline, "it never came true"
        await asyncio.sleep(0.02)


def token_of(mail: EmailMessage) -> str:
    body = mail.get_body(("plain",))
    assert body is not None
    text: str = body.get_content()
    return next(line for line in text.splitlines() if line.startswith("mail_"))


async def test_a_mail_brings_the_token(stub: Any, mail_server: MailServer) -> None:
    """The owner gets the token; a second sign-up tells the owner, and a reset of a stranger tells nobody."""
    async with mail_server.running():
        await sign_up(stub, ADA)
        await eventually(lambda: mail_server.to(ADA))
        token = token_of(mail_server.to(ADA)[0])
        assert (await stub.VerifyEmail(pb.VerifyEmailRequest(token=token, password=PASSWORD))).user_id
        await stub.RequestPasswordReset(pb.RequestPasswordResetRequest(email=BOB))
        await sign_up(stub, ADA)
        await stub.RequestPasswordReset(pb.RequestPasswordResetRequest(email=ADA.upper()))
        await eventually(lambda: len(mail_server.mails) == 3)
    subjects = {mail["Subject"] for mail in mail_server.to(ADA)}
    assert subjects == {"Confirm your address", "You have an account already", "Reset your password"}


async def test_a_mail_server_may_be_away(stub: Any, mail_server: MailServer) -> None:
    """Sign-ups are accepted while mail cannot go out; it goes out afterwards, once to each."""
    for email in (ADA, BOB):
        await sign_up(stub, email)
    await asyncio.sleep(0.5)
    async with mail_server.running():
        await eventually(lambda: mail_server.to(ADA) and mail_server.to(BOB))
        await asyncio.sleep(0.3)
    assert len(mail_server.mails) == 2


async def test_a_mail_sent_twice_is_one_mail(stub: Any, mail_server: MailServer) -> None:
    """A mail server that takes a mail without saying so gets it again, under the same Message-ID."""
    mail_server.faults = 2
    async with mail_server.running():
        await sign_up(stub, ADA)
        await eventually(lambda: len(mail_server.mails) == 3)
    assert len({mail["Message-ID"] for mail in mail_server.mails}) == 1
    assert len({token_of(mail) for mail in mail_server.mails}) == 1


async def test_nobody_is_flooded(stub: Any, mail_server: MailServer) -> None:
    """However often somebody signs an address up, its box gets so many mails, all good; another gets its own."""
    async with mail_server.running():
        for number in range(MAILS):
            await sign_up(stub, ADA)
            await eventually(lambda: mail_server.to(ADA)[number:])  # noqa: B023 (called before the next number)
        for email in (ADA, ADA, BOB):
            await sign_up(stub, email)
        await eventually(lambda: mail_server.to(BOB))
        await asyncio.sleep(0.3)
    assert len(mail_server.mails) == MAILS + 1
    token = token_of(mail_server.to(ADA)[0])
    assert (await stub.VerifyEmail(pb.VerifyEmailRequest(token=token, password=PASSWORD))).user_id
