"""The mails that the local mail server caught, as `./tulle mail`, the fault harness and the tests read them."""

from __future__ import annotations

import email
import email.policy
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Caught:
    """A mail. `time`: when it came (ISO 8601); `text`: its plain part."""

    time: str
    to: str
    subject: str
    message_id: str
    text: str


class Mailbox:
    """All mails in a folder. Each is parsed once, however often somebody looks."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: dict[str, Caught] = {}

    def mails(self, to: str | None = None) -> list[Caught]:
        """Oldest first; of one address, whatever its case, if `to` is given."""
        files = sorted(self._folder.glob("*.eml"))
        self._read = {file.name: self._read.get(file.name) or _read(file) for file in files}
        return [one for one in self._read.values() if to is None or to.lower() == one.to.lower()]


def _read(file: Path) -> Caught:
    message = email.message_from_bytes(file.read_bytes(), policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    body = message.get_body(("plain",))
    return Caught(
        time=datetime.fromtimestamp(int(file.stem) / 1e9, UTC).isoformat(timespec="seconds"),
        to=str(message["to"]),
        subject=str(message["subject"]),
        message_id=str(message["message-id"]),
        text=body.get_content().replace("\r\n", "\n").strip() if body else "",
    )
