"""The way out for mails: SMTP servers, tried one after the other."""

from __future__ import annotations

from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import format_datetime

import aiosmtplib
import structlog

from mesh.model import Unavailable
from services.notifications.domain.deliveries import Addressee, Letter, Refused, Unclear, Undeliverable
from services.notifications.limits import SMTP_TIMEOUT

SENDER = "Tulle <no-reply@tulle.local>"
log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Postman:
    """A `deliveries.Post`. The first of `servers` (`host:port`) that takes a mail gets it."""

    servers: tuple[str, ...]

    async def send(self, letter: Letter, addressee: Addressee, message_id: str) -> None:
        """Raises: Unavailable if no server has taken it; Refused; Unclear."""
        message = composed(letter, addressee, message_id)
        for server in self.servers:
            try:
                return await _hand_over(message, addressee.email, server)
            except Unavailable as error:
                log.warning("mail_server_unavailable", server=server, error=str(error.__cause__))
        raise Unavailable("No mail server takes mail now.", retry_after=5.0)


async def _hand_over(message: EmailMessage, email: str, server: str) -> None:
    host, _, port = server.rpartition(":")
    try:
        await aiosmtplib.send(
            message, recipients=[email], hostname=host, port=int(port), timeout=SMTP_TIMEOUT, start_tls=False
        )
    except (aiosmtplib.SMTPConnectError, ConnectionRefusedError) as error:
        # A server that greets with "no service here" (554) is one that is away.
        raise Unavailable from error
    except aiosmtplib.SMTPRecipientsRefused as error:
        (refused,) = error.recipients
        raise _of_recipient(refused.code, refused.message) from error
    except aiosmtplib.SMTPResponseException as error:
        raise _of_code(error.code) from error
    except (aiosmtplib.SMTPException, OSError) as error:
        # Lost on the way: perhaps before the mail was handed over, perhaps after.
        raise Unclear from error


def _of_code(code: int) -> Exception:
    """RFC 5321, 4.2.1: 4yz is for now, 5yz for ever."""
    return Refused() if code >= 500 else Unavailable()


def _of_recipient(code: int, message: str) -> Exception:
    """Whether it is the address that is wrong, or what the server thinks of us (RFC 3463: 5.7.z is policy)."""
    return Undeliverable() if code in (550, 551, 553) and not message.startswith("5.7.") else _of_code(code)


def composed(letter: Letter, addressee: Addressee, message_id: str) -> EmailMessage:
    """The mail as it goes out; sent twice, its Message-ID is the same (RFC 5322, 3.6.4)."""
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = SENDER, addressee.email, letter.subject
    message["Date"] = format_datetime(addressee.create_time)
    message["Message-ID"] = f"<{message_id}@tulle.local>"
    message["Auto-Submitted"] = "auto-generated"
    if letter.unsubscribe:
        message["List-Unsubscribe"] = f"<{letter.unsubscribe}>"
        message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    message.set_content(f"{letter.text}\n", cte="quoted-printable" if not letter.text.isascii() else "7bit")
    message.add_alternative(letter.html, subtype="html")
    return message
