"""Limits over several gateways: envoyproxy/ratelimit and a real Valkey behind two real gateways."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from infra.local import boxes, limiter
from mesh import health
from mesh.contract import contract
from mesh.model import Unavailable
from tests.integration.envoy.rig import LOG_IN, Rig, free_ports, refused, rig
from tests.integration.envoy.test_edge_rest import refusal

UPDATES = 60
"""Calls of UpdateProfile that one user may make in a minute."""


@dataclass
class Limiter:
    """The service and its Valkey, in a folder of their own."""

    folder: Path

    @property
    def socket(self) -> Path:
        return self.folder / "limiter.sock"

    def run(self, stack: ExitStack) -> None:
        """Start both; they end with `stack`."""
        valkey = self.folder / "valkey.sock"
        (self.folder / "valkey").mkdir()
        users = {"stack": "one", limiter.NAME: "two"}
        configuration = boxes.configure_valkey(self.folder / "valkey", valkey, users)
        self._start(stack, boxes.valkey_command(configuration), {})
        self._wait(lambda: boxes.valkey_ready(valkey, "one"))
        limiter.configure(self.folder, contract())
        self._start(stack, limiter.command(), limiter.environment(self.folder, self.socket, valkey, "two"))
        self._wait(lambda: health.check(self.socket))

    def _start(self, stack: ExitStack, command: list[str], environment: Mapping[str, str]) -> None:
        given = dict(os.environ) | dict(environment)
        process = subprocess.Popen(command, env=given, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        stack.callback(process.wait)
        stack.callback(process.terminate)

    def _wait(self, ready: Callable[[], Coroutine[Any, Any, None]]) -> None:
        until = time.monotonic() + 10
        while True:
            try:
                return asyncio.run(ready())
            except (OSError, Unavailable, ConnectionError):
                assert time.monotonic() < until
                time.sleep(0.05)


@dataclass
class Gateways:
    """Two gateways before the same services, and the limiter that they share."""

    first: Rig
    second: Rig
    engine: ExitStack


@pytest.fixture(scope="module")
def gateways() -> Iterator[Gateways]:
    folder = Path(tempfile.mkdtemp(prefix="tulle-"))
    shared = Limiter(folder)
    with ExitStack() as engine, rig(limiter=str(shared.socket)) as first:
        shared.run(engine)
        second = _twin(first, folder)
        second.start("gateway")
        yield Gateways(first, second, engine)
        second.stop("gateway")
    shutil.rmtree(folder)


def _twin(first: Rig, folder: Path) -> Rig:
    http, https = free_ports(2)
    (folder / "run").mkdir(mode=0o700)
    (folder / "envoy").mkdir(mode=0o700)
    places: dict[str, Any] = {
        "run_dir": str(folder / "run"),
        "envoy_dir": str(folder / "envoy"),
        "http_port": http,
        "https_port": https,
    }
    return Rig(replace(first.addresses, **places), first.authority, first.services, first.signer)


def at_the_start_of_a_minute() -> None:
    """Windows begin with the minute: wait if this one ends too soon to make all calls of a test in it."""
    left = 60 - time.time() % 60
    if left < 10:
        time.sleep(left)


def test_two_gateways_count_together(gateways: Gateways) -> None:
    """A user who has used up the limit at one gateway is refused at the other, and told when to come again."""
    at_the_start_of_a_minute()
    token = gateways.first.token(sub="user_everywhere")
    with gateways.first.rest("127.0.4.1", token=token) as client:
        assert {client.patch("/v1/users/me", json={}).status_code for _ in range(UPDATES)} == {200}
    with gateways.second.rest("127.0.4.2", token=token) as client:
        answer = client.patch("/v1/users/me", json={})
    assert refusal(answer) == (429, 8, "RATE_LIMITED")
    assert 1 <= int(answer.headers["retry-after"]) <= 60
    with gateways.second.rest("127.0.4.2", token=gateways.first.token(sub="user_elsewhere")) as client:
        assert client.patch("/v1/users/me", json={}).status_code == 200


def test_addresses_count_together_where_there_is_no_user(gateways: Gateways) -> None:
    """A method without an end user counts by address at all gateways, over gRPC as over REST."""
    at_the_start_of_a_minute()
    with gateways.first.rest("127.0.0.1") as client:
        assert {client.post("/v1/auth:logIn", json={}).status_code for _ in range(30)} == {200}
    with gateways.second.edge() as channel:
        code, _, reason, _ = refused(channel, LOG_IN)
    assert (code.name, reason) == ("RESOURCE_EXHAUSTED", "gateway.tulle/RATE_LIMITED")


def test_without_the_service_each_gateway_limits_alone(gateways: Gateways) -> None:
    """With the shared count gone calls go on, and the gateway's own bucket still refuses: never unlimited."""
    gateways.engine.close()
    token = gateways.second.token(sub="user_undeterred")
    with gateways.second.rest("127.0.4.3", token=token) as client:
        answers = [client.patch("/v1/users/me", json={}).status_code for _ in range(UPDATES + 10)]
    assert answers[:UPDATES] == [200] * UPDATES
    assert answers[-1] == 429
