"""The way out for mails: SMTP servers, tried one after the other.

A server is first offered the mail: greeting, TLS, log-in, sender, recipient. Until it is told DATA it cannot have
taken anything, so whatever goes wrong there is no more than a reason to ask the next one.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from email.utils import format_datetime, parseaddr
from typing import Literal

import aiosmtplib
import structlog

from mesh.model import Unavailable, require
from services.notifications.domain.deliveries import Addressee, Letter, Refused, Unclear, Undeliverable
from services.notifications.limits import SMTP_GOODBYE, SMTP_OFFERED, SMTP_TAKEN

Security = Literal["none", "starttls", "tls"]
SENDER = "Tulle <no-reply@tulle.local>"
DOMAIN = "tulle.local"
_LOG_IN_FIRST = 530
log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Identity:
    """As whom we send. `domain`: of Message-IDs, and by which we greet; `user`: nobody if empty."""

    sender: str = SENDER
    domain: str = DOMAIN
    security: Security = "none"
    user: str = ""
    password: str = field(default="", repr=False)


@dataclass(frozen=True)
class Postman:
    """A `deliveries.Post`. The first of `servers` (`host:port`) that takes a mail gets it."""

    servers: tuple[str, ...]
    identity: Identity = Identity()

    async def send(self, letter: Letter, addressee: Addressee, message_id: str) -> None:
        """Ends within the sum of its limits. Raises: Unavailable if no server has taken it; Refused; Unclear."""
        message = composed(letter, addressee, message_id, self.identity)
        now, share = asyncio.get_running_loop().time, SMTP_OFFERED / max(1, len(self.servers))
        end = now() + SMTP_OFFERED
        for server in self.servers:
            try:
                return await self._give(message, addressee.email, server, min(now() + share, end))
            except Unavailable as error:
                log.warning("mail_server_unavailable", server=server, error=_told(error.__cause__))
        raise Unavailable("No mail server takes mail now.", retry_after=5.0)

    async def _give(self, message: EmailMessage, email: str, server: str, until: float) -> None:
        client = self._client(server)
        try:
            with _nothing_taken():
                async with asyncio.timeout_at(until):
                    await self._offer(client, email)
            with _perhaps_taken():
                async with asyncio.timeout(SMTP_TAKEN):
                    await client.data(_bytes(message, email))
            with contextlib.suppress(aiosmtplib.SMTPException, OSError):
                async with asyncio.timeout(SMTP_GOODBYE):
                    await client.quit()
        finally:
            client.close()

    def _client(self, server: str) -> aiosmtplib.SMTP:
        host, _, port = server.rpartition(":")
        return aiosmtplib.SMTP(
            hostname=host,
            port=int(port),
            local_hostname=self.identity.domain,
            use_tls=self.identity.security == "tls",
            start_tls=self.identity.security == "starttls",
            username=self.identity.user or None,
            password=self.identity.password or None,
            timeout=None,  # ours count, over all commands together
        )

    async def _offer(self, client: aiosmtplib.SMTP, email: str) -> None:
        encoding, options = ("ascii", ()) if email.isascii() else ("utf-8", ("SMTPUTF8",))
        await client.connect()
        await client.mail(parseaddr(self.identity.sender)[1], options=options, encoding=encoding)
        await client.rcpt(email, encoding=encoding)
        require(client.is_connected, Unavailable)


@contextlib.contextmanager
def _nothing_taken() -> Iterator[None]:
    """What goes wrong before DATA. Raises: Unavailable; Refused."""
    try:
        yield
    except aiosmtplib.SMTPRecipientRefused as error:
        raise _of_recipient(error.code, error.message) from error
    except aiosmtplib.SMTPSenderRefused as error:
        raise _of_code(error.code) from error
    except (aiosmtplib.SMTPException, OSError) as error:
        raise Unavailable from error


@contextlib.contextmanager
def _perhaps_taken() -> Iterator[None]:
    """What goes wrong from DATA on. Raises: Unavailable or Refused if the server says so; else Unclear."""
    try:
        yield
    except aiosmtplib.SMTPResponseException as error:
        raise _of_code(error.code) from error
    except (aiosmtplib.SMTPException, OSError) as error:
        raise Unclear from error


def _told(error: BaseException | None) -> str:
    """What happened, without the server's words: they may quote the address."""
    return f"{type(error).__name__} {getattr(error, 'code', '')}".strip()


def _of_code(code: int) -> Exception:
    """RFC 5321, 4.2.1: 4yz is for now, 5yz for ever; but that we are to log in (RFC 4954) is no word about a mail."""
    return Refused() if code >= 500 and code != _LOG_IN_FIRST else Unavailable()


def _of_recipient(code: int, message: str) -> Exception:
    """Whether it is the address that is wrong, or what the server thinks of us (RFC 3463: 5.7.z is policy)."""
    return Undeliverable() if code in (550, 551, 553) and not message.startswith("5.7.") else _of_code(code)


def _bytes(message: EmailMessage, email: str) -> bytes:
    """In seven bits, which every server takes; an address that is not ASCII stands as it is (RFC 6532)."""
    return message.as_bytes(policy=(SMTP if email.isascii() else SMTPUTF8).clone(cte_type="7bit"))


def composed(letter: Letter, addressee: Addressee, message_id: str, identity: Identity) -> EmailMessage:
    """The mail as it goes out; sent twice, its Message-ID is the same (RFC 5322, 3.6.4)."""
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = identity.sender, addressee.email, letter.subject
    message["Date"] = format_datetime(addressee.create_time)
    message["Message-ID"] = f"<{message_id}@{identity.domain}>"
    message["Auto-Submitted"] = "auto-generated"
    if letter.unsubscribe:
        message["List-Unsubscribe"] = f"<{letter.unsubscribe}>"
        message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    message.set_content(f"{letter.text}\n", cte=_cte(letter.text))
    message.add_alternative(letter.html, subtype="html", cte=_cte(letter.html))
    return message


def _cte(text: str) -> str:
    return "7bit" if text.isascii() else "quoted-printable"
