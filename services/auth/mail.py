"""The mails that auth sends, and the way out (SMTP). The notifications service will take this over."""

from __future__ import annotations

import html
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import format_datetime

import aiosmtplib

from infra.limits import limit
from mesh.model import Unavailable
from services.auth.domain.entities import Mail, MailKind
from services.auth.domain.refresh import mailed_token

SMTP_TIMEOUT = limit("SMTP_TIMEOUT", 5.0, "s", "Below a handler's time; a mail that fails is tried again.")
SENDER = "Tulle <no-reply@tulle.local>"

# Subject and text; `{token}` stands on a line of its own, so that people and scripts find it.
TEXTS = {
    MailKind.VERIFY: (
        "Confirm your address",
        "Somebody, probably you, signed up with this address. Your confirmation token, good for a day:\n\n{token}\n\n"
        "It goes to {url}/v1/auth:verifyEmail with the password that you choose.\n\n"
        "If it was not you, do nothing: without this token no account is opened.",
    ),
    MailKind.ALREADY_REGISTERED: (
        "You have an account already",
        "Somebody, probably you, signed up with this address, which has an account. Nothing has changed. If you have "
        "forgotten your password, ask for a reset.",
    ),
    MailKind.RESET: (
        "Reset your password",
        "Somebody, probably you, asked to reset the password of this account. Your token, good for half an hour:\n\n"
        "{token}\n\nIt goes to {url}/v1/auth:resetPassword with your new password.\n\n"
        "If it was not you, do nothing: your password stays as it is.",
    ),
    MailKind.PASSWORD_CHANGED: (
        "Your password was changed",
        "The password of your account was changed and your other sessions were ended. If it was not you, reset your "
        "password now.",
    ),
    MailKind.TOTP_ENABLED: (
        "Your second factor is on",
        "From now on you need a code of your device to log in. If it was not you who switched it on, reset your "
        "password now.",
    ),
    MailKind.TOTP_DISABLED: (
        "Your second factor is off",
        "Your password alone opens your account now. If it was not you who switched it off, reset your password now.",
    ),
    MailKind.RECOVERY_CODES_REPLACED: (
        "You have new recovery codes",
        "Your old recovery codes are no longer valid. If it was not you who replaced them, reset your password now.",
    ),
}


@dataclass(frozen=True)
class Postman:
    """Sends mails. `url`: where people reach us; `key`: makes the tokens that they carry."""

    host: str
    port: int
    url: str
    key: bytes

    async def send(self, mail: Mail) -> None:
        """Hand a mail to the mail server. Raises: Unavailable if it does not take it."""
        try:
            await aiosmtplib.send(
                composed(mail, self.url, self.key),
                recipients=[mail.email],
                hostname=self.host,
                port=self.port,
                timeout=SMTP_TIMEOUT,
                start_tls=False,
            )
        except (aiosmtplib.SMTPException, OSError) as error:
            raise Unavailable("The mail server does not take mail now.", retry_after=5.0) from error


def composed(mail: Mail, url: str, key: bytes) -> EmailMessage:
    """The mail as it goes out; sent twice, its Message-ID is the same (RFC 5322, 3.6.4)."""
    subject, text = TEXTS[mail.kind]
    body = text.format(token=mailed_token(key, mail.mail_id), url=url)
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = SENDER, mail.email, subject
    message["Date"] = format_datetime(mail.create_time)
    message["Message-ID"] = f"<{mail.mail_id}@tulle.local>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(f"{body}\n", cte="quoted-printable" if not body.isascii() else "7bit")
    paragraphs = "".join(f"<p>{html.escape(paragraph)}</p>" for paragraph in body.split("\n\n"))
    message.add_alternative(f"<!doctype html><html lang=en><body>{paragraphs}</body></html>", subtype="html")
    return message
