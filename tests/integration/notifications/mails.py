"""A real mail server that does what a test wants."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope, Session

from tests.servers import free_port


class MailServer:
    """Keeps what it takes; `says` is what it answers to the next mails, which it has taken or not.

    `knows`: whom it takes mail for; None for everybody.
    """

    def __init__(self) -> None:
        self.knows: set[str] | None = None
        self.port = free_port()
        self.mails: list[EmailMessage] = []
        self.says: list[str] = []

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.knows is not None and address not in self.knows:
            return "550 5.1.1 No such box"
        envelope.rcpt_tos.append(address)
        return "250 Go on"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        assert isinstance(envelope.content, bytes)
        mail: Any = message_from_bytes(envelope.content, policy=policy.default)
        assert [mail["To"]] == envelope.rcpt_tos
        self.mails.append(mail)
        return self.says.pop(0) if self.says else "250 Kept"

    def to(self, address: str) -> list[EmailMessage]:
        return [mail for mail in self.mails if mail["To"] == address]

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: SMTP(self, hostname="test"), "127.0.0.1", self.port)
        async with server:
            yield
