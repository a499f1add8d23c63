"""Mails to real servers: which one gets them, what an accident means, TLS and log-in."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP, AuthResult
from pydantic import ValidationError

from infra import ca
from mesh.model import Unavailable
from services.notifications import postman as postmen
from services.notifications.domain.deliveries import Addressee, Letter, Refused, Unclear, Undeliverable
from services.notifications.limits import (
    DELIVERY_LEASE,
    DELIVERY_PREPARED,
    SMTP_GOODBYE,
    SMTP_OFFERED,
    SMTP_TAKEN,
)
from services.notifications.main import Settings
from services.notifications.postman import Identity, Postman
from tests.integration.notifications.mails import MailServer

LETTER = Letter("Hello", "A line of text: ü", "<p>A line of text: ü</p>")
HURRY = 5
USER, SECRET = "tulle", "a word of the provider's"


class Scripted:
    """A mail server that is told how to behave at each command, by its first four letters.

    `ends`, `hangs`: at which; `says`: what instead of 250; `pause`: before each answer. `taken`: mails.
    """

    def __init__(self, ends: str = "", hangs: str = "", says: dict[str, str] | None = None, pause: float = 0.0) -> None:
        self.ends, self.hangs, self.says, self.pause = ends, hangs, says or {}, pause
        self.taken = 0

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        server = await asyncio.start_server(self._talk, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            yield f"127.0.0.1:{port}"

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._answers(reader, writer)
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def _answers(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._answer("GREE", "220 hello", writer)
        while line := await reader.readline():
            command = line[:4].decode().upper()
            await self._answer(command, {"DATA": "354 go on", "QUIT": "221 bye"}.get(command, "250 ok"), writer)
            if command == "DATA" and "DATA" not in self.says:
                await reader.readuntil(b"\r\n.\r\n")
                self.taken += not self.says.get("DOT")
                await self._answer("DOT", "250 kept", writer)

    async def _answer(self, command: str, usual: str, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(3600 if command == self.hangs else self.pause)
        if command == self.ends:
            raise ConnectionResetError
        writer.write(f"{self.says.get(command, usual)}\r\n".encode())


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """All times are a fifth of what they are."""
    for name in ("SMTP_OFFERED", "SMTP_TAKEN", "SMTP_GOODBYE"):
        monkeypatch.setattr(postmen, name, getattr(postmen, name) / HURRY)


async def send(*servers: str, email: str = "ada@example.com", identity: Identity | None = None) -> None:
    addressee = Addressee(email=email, kind="verify", create_time=datetime(2026, 1, 2, tzinfo=UTC))
    await Postman(servers, identity or Identity()).send(LETTER, addressee, "mail_1")


def test_an_attempt_ends_before_its_lease() -> None:
    """With time to write down what came of it: nobody else takes a mail while it is on its way."""
    assert DELIVERY_PREPARED + SMTP_OFFERED + SMTP_TAKEN + SMTP_GOODBYE <= DELIVERY_LEASE - 5


@pytest.mark.parametrize("command", ["GREE", "EHLO", "MAIL", "RCPT"])
@pytest.mark.parametrize("accident", ["ends", "hangs"])
@pytest.mark.usefixtures("hurried")
async def test_before_data_nothing_can_have_been_taken(command: str, accident: str) -> None:
    """Whatever happens to a connection before, the next server gets the mail; with none, it is tried later."""
    bad, good = Scripted(**{accident: command}), Scripted()  # type: ignore[arg-type]
    async with bad.running() as first, good.running() as second:
        await send(first, second)
        with pytest.raises(Unavailable):
            await send(first)
    assert (bad.taken, good.taken) == (0, 1)


@pytest.mark.parametrize("command", ["DATA", "DOT"])
@pytest.mark.parametrize("accident", ["ends", "hangs"])
@pytest.mark.usefixtures("hurried")
async def test_from_data_on_nobody_knows(command: str, accident: str) -> None:
    """No other server is asked: this one may have taken the mail."""
    bad, good = Scripted(**{accident: command}), Scripted()  # type: ignore[arg-type]
    async with bad.running() as first, good.running() as second:
        with pytest.raises(Unclear):
            await send(first, second)
    assert good.taken == 0


@pytest.mark.usefixtures("hurried")
async def test_a_server_that_is_slow_at_each_command_gets_no_mail() -> None:
    """Its time is for all commands together, and leaves as much for each server behind it."""
    slow, slower, good = Scripted(pause=0.3), Scripted(pause=0.4), Scripted()
    began = asyncio.get_running_loop().time()
    async with slow.running() as first, slower.running() as second, good.running() as third:
        await send(first, second, third)
    assert (slow.taken, slower.taken, good.taken) == (0, 0, 1)
    assert asyncio.get_running_loop().time() - began < (SMTP_OFFERED + SMTP_TAKEN) / HURRY


@pytest.mark.usefixtures("hurried")
async def test_servers_that_want_mails_later_do_not_use_the_lease_up() -> None:
    """However many there are, and however long they look at a mail before they say so."""
    moody = Scripted(says={"DOT": "451 later"}, pause=0.2)
    began = asyncio.get_running_loop().time()
    async with moody.running() as server:
        with pytest.raises(Unavailable):
            await send(*[server] * 50)
    assert asyncio.get_running_loop().time() - began < (SMTP_OFFERED + SMTP_TAKEN + SMTP_GOODBYE) / HURRY


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize("accident", ["ends", "hangs"])
async def test_a_bad_goodbye_does_no_harm(accident: str) -> None:
    """The mail is taken, whatever comes after."""
    server = Scripted(**{accident: "QUIT"})  # type: ignore[arg-type]
    async with server.running() as address:
        await send(address)
    assert server.taken == 1


@pytest.mark.parametrize(
    ("command", "answer", "outcome"),
    [
        ("GREE", "554 no service here", Unavailable),
        ("EHLO", "421 too many connections", Unavailable),
        ("MAIL", "530 5.7.0 log in first", Unavailable),
        ("MAIL", "550 not from you", Refused),
        ("RCPT", "450 later", Unavailable),
        ("RCPT", "550 5.7.1 you are on a list", Refused),
        ("RCPT", "550 5.1.1 no such box", Undeliverable),
        ("DATA", "451 later", Unavailable),
        ("DATA", "554 not that", Refused),
        ("DOT", "452 full", Unavailable),
        ("DOT", "554 not that", Refused),
    ],
)
async def test_a_server_s_word_counts(command: str, answer: str, outcome: type[Exception]) -> None:
    """About the mail and the address it is final; about the server or us it is for now."""
    async with Scripted(says={command: answer}).running() as server:
        with pytest.raises(outcome) as raised:
            await send(server)
    assert raised.type is outcome


@pytest.mark.parametrize("answer", ["535 5.7.8 wrong", "454 4.7.0 not now"])
async def test_a_refused_log_in_is_for_now(answer: str) -> None:
    """No mail is given up because of a password that an operator has to mend."""
    provider = Scripted(says={"EHLO": "250-hello\r\n250 AUTH PLAIN", "AUTH": answer})
    async with provider.running() as server:
        with pytest.raises(Unavailable):
            await send(server, identity=Identity(user=USER, password=SECRET))


async def test_a_letter_arrives_as_it_is() -> None:
    """With what settings say of the sender, and characters of any language."""
    mails = MailServer()
    async with mails.running():
        identity = Identity(sender="Ex Ämple <hello@example.org>", domain="mail.example.org")
        await send(f"127.0.0.1:{mails.port}", identity=identity)
    (mail,) = mails.mails
    assert (mail["From"], mail["Message-ID"]) == ("Ex Ämple <hello@example.org>", "<mail_1@mail.example.org>")
    parts: Any = [mail.get_body((kind,)) for kind in ("plain", "html")]
    assert [part.get_content().strip() for part in parts] == [LETTER.text, LETTER.html]


@pytest.fixture
def certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """What a server shows that is called `localhost`; its authority is one that this machine trusts."""
    authority = ca.open_authority(tmp_path / "certs")
    ca.issue(authority, tmp_path / "mail", ["localhost"])
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "mail" / "ca.pem"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "mail" / "cert.pem", tmp_path / "mail" / "key.pem")
    return context


def authenticated(server: SMTP, session: Any, envelope: Any, mechanism: str, found: Any) -> AuthResult:
    return AuthResult(success=(found.login, found.password) == (USER.encode(), SECRET.encode()))


@contextlib.asynccontextmanager
async def provider(mails: MailServer, context: ssl.SSLContext, security: str) -> AsyncIterator[None]:
    """A mail server across a network: by TLS alone, for those who log in."""
    starttls = security == "starttls"

    def protocol() -> SMTP:
        return SMTP(
            mails,
            hostname="test",
            tls_context=context if starttls else None,
            require_starttls=starttls,
            auth_required=True,
            auth_require_tls=starttls,
            authenticator=authenticated,
        )

    loop = asyncio.get_running_loop()
    async with await loop.create_server(protocol, "127.0.0.1", mails.port, ssl=None if starttls else context):
        yield


def member(security: Any, password: str = SECRET) -> Identity:
    return Identity(security=security, user=USER, password=password)


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize("security", ["starttls", "tls"])
@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
async def test_a_provider_is_logged_in_to_through_tls(security: str, certificate: ssl.SSLContext) -> None:
    """With either way to TLS; a wrong password, no log-in and no TLS are for now, so that no mail is given up."""
    mails = MailServer()
    server = f"localhost:{mails.port}"
    async with provider(mails, certificate, security):
        await send(server, identity=member(security))
        for wrong in (member(security, "another"), Identity(security=security), Identity()):  # type: ignore[arg-type]
            with pytest.raises(Unavailable):
                await send(server, identity=wrong)
    assert len(mails.mails) == 1


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize("security", ["starttls", "tls"])
@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
async def test_a_server_with_another_s_certificate_gets_nothing(security: str, certificate: ssl.SSLContext) -> None:
    """Neither password nor mail: its certificate must be of its name, by an authority that is trusted."""
    mails = MailServer()
    async with provider(mails, certificate, security):
        with pytest.raises(Unavailable):
            await send(f"127.0.0.1:{mails.port}", identity=member(security))
    assert not mails.mails


async def test_a_server_without_starttls_gets_nothing() -> None:
    """Who stands between us and it could have taken the offer out."""
    mails = MailServer()
    async with mails.running():
        with pytest.raises(Unavailable):
            await send(f"localhost:{mails.port}", identity=Identity(security="starttls"))
    assert not mails.mails


def test_a_password_comes_from_the_secrets_and_goes_through_tls(tmp_path: Path) -> None:
    """Settings without TLS and with a user are refused; the password is shown by no representation."""
    (tmp_path / "smtp-password").write_text(f"{SECRET}\n")
    folders: dict[str, Any] = {"run_dir": tmp_path, "state_dir": tmp_path, "secrets_dir": tmp_path}
    with pytest.raises(ValidationError, match="TLS alone"):
        Settings(**folders, smtp_user=USER)
    identity = Settings(**folders, smtp_user=USER, smtp_security="tls").identity()
    assert identity == member("tls")
    assert SECRET not in repr(identity)
    assert Settings(**folders).identity() == Identity()
