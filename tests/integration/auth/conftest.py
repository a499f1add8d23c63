"""The whole auth process, built as in production, but for the network: calls come in process, mails are read."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tulle.auth.v1.api_keys_pb2_grpc import ApiKeysServiceStub
from tulle.auth.v1.auth_pb2_grpc import AccountsServiceStub, AuthServiceStub

from infra.postgres import Database, open_database
from mesh.app import App
from mesh.call import Peer
from mesh.transports.inprocess import InProcess
from services import topology
from services.auth.domain.refresh import mailed_token
from services.auth.main import Settings, build
from services.auth.servicer import KeysServicer
from tests.servers import PASSWORD, Postgres

Stub = Any
"""A stub whose methods are awaited."""


@dataclass
class Process:
    """An auth process: `app` as built, and a look into its database."""

    app: App
    settings: Settings
    database: Database

    def stub(self, token: str = "", workload: str = "gateway") -> Stub:
        """AuthService, as `workload` for the holder of `token`."""
        return AuthServiceStub(self._channel(token, workload))

    def accounts(self, workload: str = "users") -> Stub:
        """AccountsService, as `workload`."""
        return AccountsServiceStub(self._channel("", workload))

    def api_keys(self, token: str = "") -> Stub:
        """ApiKeysService, as the gateway for the holder of `token`."""
        return ApiKeysServiceStub(self._channel(token, "gateway"))

    async def mails(self, email: str) -> list[tuple[str, str]]:
        """Kind and id of each mail to an address, oldest first."""
        async with self.database.connection() as connection:
            rows = await connection.fetch("SELECT kind, mail_id FROM mails WHERE email = $1 ORDER BY mail_id", email)
        return [(kind, mail_id) for kind, mail_id in rows]

    async def token(self, email: str) -> str:
        """The token of the last mail to an address."""
        _, mail_id = (await self.mails(email))[-1]
        return mailed_token(self.settings.secret("token-key").encode(), mail_id)

    def _channel(self, token: str, workload: str) -> Any:
        return InProcess(self.app, Peer(workload), {"authorization": f"Bearer {token}"} if token else {})


@pytest.fixture
async def settings(postgres: Postgres, tmp_path: Path) -> Settings:
    for secret in ("postgres", "nats", "valkey", "sidecar", *topology.WORKLOAD["auth"].keys):
        (tmp_path / secret).write_text(PASSWORD)
    return Settings(
        run_dir=tmp_path,
        state_dir=tmp_path,
        secrets_dir=tmp_path,
        postgres_port=postgres.port,
        postgres_database=await postgres.new_database(),
        nats_url="nats://127.0.0.1:1",
        valkey_url="redis://127.0.0.1:1/0",
    )


@pytest.fixture
async def database(settings: Settings) -> AsyncIterator[Database]:
    async with open_database(settings) as database:
        yield database


@pytest.fixture
async def process(settings: Settings, database: Database) -> AsyncIterator[Process]:
    async with build(settings) as app:
        for _, servicer in app.servicers:
            if isinstance(servicer, KeysServicer):
                await servicer.keys.refresh()
        yield Process(app, settings, database)
