"""The mesh of these tests: the platform's own gateway and sidecars, made for a contract with two services more."""

from __future__ import annotations

import asyncio
import functools
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from google.api import annotations_pb2
from google.protobuf import descriptor_pb2, descriptor_pool, duration_pb2, field_mask_pb2, timestamp_pb2, wrappers_pb2
from tulle.policy.v1 import policy_pb2

from codegen import compile as compiler
from codegen.build import ROOT
from mesh import contract
from mesh.app import App
from mesh.contract import Contract
from mesh.identity import SidecarIdentity
from mesh.server import serving
from mesh.telemetry import Telemetry
from services.topology import GATEWAY, WORKLOAD, WORKLOADS, Workload
from tests.conformance.library import LIBRARY, Library
from tests.conformance.testing import TESTING, Testing
from tests.integration.envoy.rig import Rig, rig
from tests.unit.mesh.echo import Credentials

PROTOS = Path(__file__).parent / "protos"
CALLER = "users"
"""The workload through whose sidecar the cases call inside the mesh; no service of its own runs behind it."""
OURS = Workload("conformance", "answers outside test suites", serves=(TESTING, LIBRARY))
Servicers = tuple[tuple[Callable[[Any, Any], None], object], ...]
NEEDED = (annotations_pb2, duration_pb2, field_mask_pb2, policy_pb2, timestamp_pb2, wrappers_pb2)
"""Modules that put what the protos import into the default pool."""


@dataclass
class Mesh:
    """Everything that a case reaches for."""

    rig: Rig
    testing: Testing
    library: Library
    stop: Callable[[], object]
    """Ask the service to stop, as SIGTERM does."""


@functools.cache
def protos() -> bytes:
    """The descriptor set of all protos, those of these tests among them."""
    with tempfile.TemporaryDirectory() as folder:
        everything, scratch = Path(folder, "protos"), Path(folder, "scratch")
        scratch.mkdir()
        for source in (ROOT / "protos", PROTOS):
            shutil.copytree(source, everything, dirs_exist_ok=True)
        return compiler.descriptor_set(everything, scratch)


def test_contract() -> Contract:
    """The contract of this build and of the protos beside this file, with a topology to match."""
    calls = {CALLER: ("auth", OURS.name), GATEWAY: (*WORKLOAD[GATEWAY].calls, OURS.name)}
    rows = (replace(workload, calls=calls.get(workload.name, workload.calls)) for workload in WORKLOADS)
    return contract.load(protos(), (*rows, OURS), ("tulle.", "grpc.testing"))


@functools.cache
def register() -> None:
    """Make the messages of these tests known to protobuf, once in a process."""
    assert NEEDED
    for file in descriptor_pb2.FileDescriptorSet.FromString(protos()).file:
        if (PROTOS / file.name).exists():
            descriptor_pool.Default().Add(file)


@contextmanager
def running() -> Iterator[Mesh]:
    """The mesh with the two services in our own pipeline."""
    register()
    of, folder = test_contract(), Path(tempfile.mkdtemp(prefix="tulle-"))
    (folder / "contract.binpb").write_bytes(protos())
    try:
        with ExitStack() as stack:
            made = stack.enter_context(rig(of, descriptor_set=str(folder / "contract.binpb")))
            testing, library = Testing(), Library()
            servicers = ((Testing.add, testing), (Library.add, library))
            stop = stack.enter_context(_served(made, servicers, of))
            yield Mesh(made, testing, library, stop)
    finally:
        shutil.rmtree(folder)


@contextmanager
def _served(made: Rig, servicers: Servicers, of: Contract) -> Iterator[Callable[[], object]]:
    """The services on their socket, in a thread with a loop of its own. Yields what asks them to stop."""
    ready, loop = threading.Event(), asyncio.new_event_loop()
    stopping = asyncio.Event()
    thread = threading.Thread(target=loop.run_until_complete, args=(_serve(made, servicers, of, ready, stopping),))
    thread.start()
    assert ready.wait(10)
    try:
        yield partial(loop.call_soon_threadsafe, stopping.set)
    finally:
        loop.call_soon_threadsafe(stopping.set)
        thread.join(20)
        loop.close()


async def _serve(
    made: Rig, servicers: Servicers, of: Contract, ready: threading.Event, stopping: asyncio.Event
) -> None:
    credentials: Any = Credentials()
    app = App(OURS.name, servicers, credentials, credentials)
    lines: list[str] = []
    identity = SidecarIdentity(OURS.name, f"secret of {OURS.name}")
    socket = Path(made.addresses.socket(OURS.name))
    async with serving(app, Telemetry(OURS.name, 0.0, lines.append), identity, socket, of):
        ready.set()
        await stopping.wait()
