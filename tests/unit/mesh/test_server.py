"""A service process from start to end."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import stat
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from tulle.users.v1 import users_pb2 as pb
from tulle.users.v1.users_pb2_grpc import UsersServiceStub

from mesh import health
from mesh.identity import SECRET, XFCC
from mesh.model import Unavailable
from services.topology import spiffe_id
from tests.rules.tree import ROOT
from tests.unit.mesh.echo import ADA

METADATA = (
    (SECRET, "secret"),
    (XFCC, f"By={spiffe_id('users')};URI={spiffe_id('gateway')}"),
    ("authorization", f"Bearer {ADA}"),
)


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="tm-") as path:
        Path(path, "sidecar").write_text("secret")
        yield Path(path)


@pytest.fixture
async def process(folder: Path) -> AsyncIterator[Process]:
    names = {"WORKLOAD": "users", "RUN_DIR": folder, "STATE_DIR": folder, "SECRETS_DIR": folder}
    environment = {**os.environ, **{f"TULLE_{name}": str(value) for name, value in names.items()}}
    environment["PYTHONPATH"] = f"{ROOT}{os.pathsep}{ROOT / 'codegen' / 'gen'}"
    made = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.unit.mesh.process", cwd=ROOT, env=environment, stdout=PIPE
    )
    try:
        await ready(folder / "users.sock")
        yield made
    finally:
        if made.returncode is None:
            made.kill()
            await made.wait()


async def ready(socket: Path) -> None:
    async with asyncio.timeout(20):
        while True:
            try:
                return await health.check(socket, 0.5)
            except Unavailable:
                await asyncio.sleep(0.05)


async def profile(folder: Path) -> Any:
    async with grpc.aio.insecure_channel(f"unix:{folder / 'users.sock'}") as channel:
        stub: Any = UsersServiceStub(channel)
        return await stub.GetProfile(pb.GetProfileRequest(user_id=ADA), metadata=METADATA, timeout=5)


async def test_calls_under_way_are_finished(process: Process, folder: Path) -> None:
    """After SIGTERM health says NOT_SERVING, the call under way is answered, and everything is closed."""
    calling = asyncio.ensure_future(profile(folder))
    await asyncio.sleep(0.3)
    process.send_signal(signal.SIGTERM)
    await asyncio.sleep(0.2)
    with pytest.raises(Unavailable):
        await health.check(folder / "users.sock")
    assert (await calling).user_id == ADA
    assert process.stdout is not None
    lines = [json.loads(line) for line in (await process.stdout.read()).splitlines()]
    assert await process.wait() == 0
    events = [line["event"] for line in lines]
    assert [event for event in events if event in {"listening", "stopping", "closed", "stopped"}] == [
        "listening",
        "stopping",
        "closed",
        "stopped",
    ]
    assert "call" in events


async def test_a_second_signal_ends_it(process: Process, folder: Path) -> None:
    """Who cannot wait sends the signal twice."""
    calling = asyncio.ensure_future(profile(folder))
    await asyncio.sleep(0.3)
    process.send_signal(signal.SIGTERM)
    await asyncio.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(process.wait(), 0.5) != 0
    await asyncio.gather(calling, return_exceptions=True)


async def test_a_failing_worker_is_told_and_harms_nobody(process: Process, folder: Path) -> None:
    """A worker that fails is logged by type and place, and the service serves."""
    assert (await profile(folder)).user_id == ADA
    process.send_signal(signal.SIGTERM)
    assert process.stdout is not None
    text = (await process.stdout.read()).decode()
    failures = [json.loads(line) for line in text.splitlines() if "worker failed" in line]
    assert failures[0]["error"] == "ValueError"
    assert failures[0]["where"][-1].startswith("tests/unit/mesh/process.py")
    assert "ada@" not in text


async def test_the_socket_is_private(process: Process, folder: Path) -> None:
    """Only the service's own user may connect."""
    assert stat.S_IMODE((folder / "users.sock").stat().st_mode) == 0o600
