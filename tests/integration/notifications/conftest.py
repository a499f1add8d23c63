"""The notifications process, built as in production, but for the network: calls come in process, auth is played."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import pytest

from mesh.app import App
from mesh.call import Peer
from mesh.model import OrganisationId, SessionId, Unauthenticated, User, UserId
from mesh.transports.inprocess import InProcess
from services import topology
from services.notifications.main import Settings, build
from tests.servers import PASSWORD, Postgres

ServicerT = TypeVar("ServicerT")


class Tokens:
    """Takes `<user id>` for an access token, and every session for alive."""

    async def verify(self, token: str) -> tuple[User, float]:
        if not token.startswith("user_"):
            raise Unauthenticated
        return User(UserId(token), OrganisationId("organisation_1"), SessionId("session_1")), time.time() + 300

    async def check(self, user: User) -> User:
        return user


@dataclass
class Process:
    """A notifications process: `app` as built, and its settings."""

    app: App
    settings: Settings

    def stub(self, stub: Any, token: str = "", workload: str = "gateway") -> Any:
        """A stub that calls as `workload` for the holder of `token`."""
        channel: Any = InProcess(self.app, Peer(workload), {"authorization": f"Bearer {token}"} if token else {})
        return stub(channel)

    def servicer(self, kind: type[ServicerT]) -> ServicerT:
        """The one of this class."""
        return next(found for _, found in self.app.servicers if isinstance(found, kind))


@pytest.fixture
async def process(postgres: Postgres, tmp_path: Path) -> AsyncIterator[Process]:
    for secret in ("postgres", "nats", "sidecar", *topology.WORKLOAD["notifications"].keys):
        (tmp_path / secret).write_text(PASSWORD)
    settings = Settings(
        run_dir=tmp_path,
        state_dir=tmp_path,
        secrets_dir=tmp_path,
        postgres_port=postgres.port,
        postgres_database=await postgres.new_database(),
        nats_url="nats://127.0.0.1:1",
    )
    async with build(settings) as app:
        yield Process(replace(app, tokens=Tokens(), sessions=Tokens()), settings)
