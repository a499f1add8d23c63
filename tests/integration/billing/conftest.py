"""The whole billing process, built as in production, but for the network: calls come in process, auth is played."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from tulle.billing.v1.accounting_pb2_grpc import AccountingServiceStub
from tulle.billing.v1.billing_pb2_grpc import BillingServiceStub
from tulle.billing.v1.invoices_pb2_grpc import InvoicesServiceStub

from mesh.app import App
from mesh.call import Peer
from mesh.model import OrganisationId, SessionId, Unauthenticated, User, UserId
from mesh.transports.inprocess import InProcess
from services import topology
from services.billing.main import Settings, build
from tests.servers import PASSWORD, PaymentProvider, Postgres

Stub = Any
"""A stub whose methods are awaited."""
Calling = Callable[..., Stub]
STUBS = {"Billing": BillingServiceStub, "Invoices": InvoicesServiceStub, "Accounting": AccountingServiceStub}


class Tokens:
    """Takes `<user id>`, of an owner, or `<user id>/<role>` for an access token, and every session for alive."""

    async def verify(self, token: str) -> tuple[User, float]:
        user_id, _, role = token.partition("/")
        if not user_id.startswith("user_"):
            raise Unauthenticated
        organisation = OrganisationId(f"organisation_of_{user_id}")
        roles = frozenset([role or "owner"])
        return User(UserId(user_id), organisation, SessionId("session_1"), roles), time.time() + 300

    async def check(self, user: User) -> User:
        return user


@dataclass
class Process:
    """The billing process: `app` as built, and its settings."""

    app: App
    settings: Settings

    def stub(self, token: str = "", workload: str = "gateway", service: str = "Billing") -> Stub:
        """A stub that calls as `workload` for the holder of `token`."""
        channel: Any = InProcess(self.app, Peer(workload), {"authorization": f"Bearer {token}"} if token else {})
        return STUBS[service](channel)


@pytest.fixture
async def settings(postgres: Postgres, tmp_path: Path) -> AsyncIterator[Settings]:
    for secret in ("postgres", "nats", "sidecar", *topology.WORKLOAD["billing"].keys):
        (tmp_path / secret).write_text(PASSWORD)
    (tmp_path / "stripe-key").write_text(PaymentProvider.KEY)
    provider = PaymentProvider(_folder(tmp_path / "provider"))
    await provider.start()
    try:
        yield Settings(
            stripe_url=provider.url,
            run_dir=tmp_path,
            state_dir=tmp_path,
            secrets_dir=tmp_path,
            postgres_port=postgres.port,
            postgres_database=await postgres.new_database(),
            nats_url="nats://127.0.0.1:1",
        )
    finally:
        provider.kill()


def _folder(path: Path) -> Path:
    path.mkdir()
    return path


@pytest.fixture
async def process(settings: Settings) -> AsyncIterator[Process]:
    async with build(settings) as app:
        yield Process(replace(app, tokens=Tokens(), sessions=Tokens()), settings)


@pytest.fixture
def stub(process: Process) -> Calling:
    return process.stub
