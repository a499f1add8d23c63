"""Whole stacks, each in a data folder and on ports of its own."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import asyncpg
from joserfc.jwk import ECKey
from tulle.auth.v1 import auth_pb2
from tulle.auth.v1.auth_pb2_grpc import AccountsServiceStub
from tulle.users.v1 import users_pb2
from tulle.users.v1.users_pb2_grpc import UsersServiceStub

from infra.local import control
from infra.local.layout import Layout, layout
from infra.local.mailbox import Mailbox
from infra.local.operator import calling
from infra.local.stack import WITH_PARENT
from infra.settings import Mesh, StackSettings, Workers, development_environment
from services import topology
from services.auth.sealing import AesBox
from tests.e2e.doors import Edge, Sidecar
from tests.e2e.people import Person, eventually
from tests.servers import free_port

PATIENCE = 90.0
"""Seconds in which a stack must be up, on a machine that does other things too."""


class Stack:
    """A running stack; what happens to it is up to the test."""

    def __init__(self, folder: Path, mesh: Mesh = "static", workers: Workers = "inside") -> None:
        settings = StackSettings(
            data_dir=folder, http_port=free_port(), https_port=free_port(), mesh=mesh, workers=workers
        )
        self.layout: Layout = layout(settings)
        self._mailbox = Mailbox(self.layout.folder("mail"))
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def edge(self) -> Edge:
        settings = self.layout.settings
        authority = self.layout.data / "certs" / "operator" / "ca.pem"
        return Edge("127.0.0.1", settings.http_port, settings.https_port, authority)

    @property
    def sidecars(self) -> dict[str, Sidecar]:
        served = [workload.name for workload in topology.WORKLOADS if workload.serves]
        return {name: Sidecar(name, f"127.0.0.1:{self.layout.ports[name]}") for name in served}

    def start(self) -> None:
        """Start it and wait until everything is ready. Raises: AssertionError with its log if it does not come up."""
        settings = self.layout.settings
        own = {
            "TULLE_DATA_DIR": str(settings.data_dir),
            "TULLE_HTTP_PORT": str(settings.http_port),
            "TULLE_HTTPS_PORT": str(settings.https_port),
            "TULLE_MESH": settings.mesh,
            "TULLE_WORKERS": settings.workers,
        }
        log = self.layout.folder("logs") / "stack.log"
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "infra.local.stack", WITH_PARENT],
                env=development_environment() | own,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._wait_until(lambda: self.startup_seconds is not None, log)

    @property
    def startup_seconds(self) -> float | None:
        """How long the start took; None while it lasts."""
        told = self._told()
        ours = self._process is not None and told.get("pid") == self._process.pid
        return told["startup_seconds"] if ours else None

    def stop(self) -> None:
        """Stop it as Ctrl-C does."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(60)

    def kill(self, name: str) -> None:
        """End a process without a word, if it is there at all."""
        if pid := self.process(name)["pid"]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def process(self, name: str) -> dict[str, Any]:
        """What the stack says of one process."""
        return next(process for process in self._told()["processes"] if process["name"] == name)

    async def ready(self) -> None:
        """Wait until every process is ready again."""

        async def all_ready() -> bool:
            return all(process["state"] == "ready" for process in self._told()["processes"])

        await eventually(all_ready)

    def person(self) -> Person:
        """Somebody with an address, who has not signed up yet."""
        return Person(self.edge, self.mails)

    async def appoint(self, person: Person) -> None:
        """Make somebody an administrator, as `./tulle` does it."""
        async with calling(self.layout, "auth") as channel:
            stub: Any = channel.stub(AccountsServiceStub)
            await stub.AppointAdministrator(auth_pb2.AppointAdministratorRequest(email=person.email))

    async def signing_key(self, kid: str) -> ECKey:
        """A private key of the platform, as only a leak would hand it out."""
        found = await self.rows("auth", "SELECT kid, private_sealed FROM signing_keys")
        sealed = next(row["private_sealed"] for row in found if row["kid"] == kid)
        box = AesBox(self.layout.secret("auth", "encryption-key"))
        return ECKey.import_key(box.open(sealed, f"key:{kid}"))

    async def crowd(self, organisation_id: str, number: int) -> None:
        """So many more members of an organisation, who have never signed up: their mails would take minutes."""
        await self.rows(
            "auth",
            f"""
            WITH people AS MATERIALIZED (
                SELECT 'user_' || md5(random()::text || one) AS id FROM generate_series(1, {number}) AS one
            ), accounts AS (
                INSERT INTO accounts
                    (user_id, organisation_id, email, email_key, password_hash, password_length, create_time)
                SELECT id, 'organisation_of_' || id, id, id, '', 0, now() FROM people
            )
            INSERT INTO members (organisation_id, user_id, role, join_time)
            SELECT '{organisation_id}', id, 'member', now() FROM people RETURNING user_id
            """,
        )

    async def profiles(self, user_ids: Sequence[str]) -> list[users_pb2.Profile]:
        """The profiles that exist, as another workload sees them: nobody makes theirs by looking."""
        async with calling(self.layout, "users") as channel:
            stub: Any = channel.stub(UsersServiceStub)
            chunks = [user_ids[n : n + 100] for n in range(0, len(user_ids), 100)]
            requests = [users_pb2.BatchGetProfilesRequest(user_ids=chunk) for chunk in chunks]
            return [profile for request in requests for profile in (await stub.BatchGetProfiles(request)).profiles]

    async def rows(self, workload: str, statement: str) -> list[Any]:
        """What a statement finds in the schema of a workload: evidence, where no RPC tells."""
        connection = await asyncpg.connect(
            host=str(self.layout.postgres_socket),
            user=workload,
            password=self.layout.secret(workload, "postgres"),
            database="tulle",
            server_settings={"search_path": workload},
        )
        try:
            return list(await connection.fetch(statement))
        finally:
            await connection.close()

    async def mails(self, address: str) -> list[str]:
        """The texts of all mails to an address, oldest first."""
        return [mail.text for mail in self._mailbox.mails(address)]

    def _told(self) -> dict[str, Any]:
        return control.told(self.layout)

    def _wait_until(self, true: Any, log: Path) -> None:
        assert self._process is not None
        deadline = time.monotonic() + PATIENCE
        while not true():
            assert self._process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
