"""A mail server that delivers to nobody: it keeps each mail as a file, for `./tulle mail` and tests to read."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from pathlib import Path

from aiosmtpd.smtp import SMTP, Envelope, Session

from infra.local.limits import MAIL_BYTES, MAILS_CAUGHT


class Catcher:
    """Keeps mails in a folder, named so that their order is the order of arrival."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        content = envelope.content
        assert isinstance(content, bytes)
        name = self._folder / f"{time.time_ns()}.eml"
        name.with_suffix(".new").write_bytes(content)
        name.with_suffix(".new").rename(name)
        for old in sorted(self._folder.glob("*.eml"))[:-MAILS_CAUGHT]:
            old.unlink(missing_ok=True)
        return "250 Kept"


async def serve(folder: Path, port: int) -> None:
    """Serve on loopback until SIGTERM."""
    loop, stopping = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    server = await loop.create_server(
        lambda: SMTP(Catcher(folder), data_size_limit=MAIL_BYTES, enable_SMTPUTF8=True, loop=loop, ident="tulle mail"),
        "127.0.0.1",
        port,
    )
    async with server:
        await stopping.wait()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), int(sys.argv[2])))
