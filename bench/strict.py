"""What the strict check costs the gateway: CPU of one Envoy per request with a body of 1 KB, with it and without."""

from __future__ import annotations

import asyncio
import itertools
import json
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import yaml

from bench.load import Connection, connect
from bench.measure import Row
from bench.platform import PATIENCE, Platform
from infra import envoys
from infra.local.layout import FIRST_PORT, free
from mesh import envoy
from mesh.contract import contract
from mesh.envoy import Addresses
from services.topology import GATEWAY

REQUESTS = 600
"""Of each gateway in a round: 120 people stay below the method's limit for the whole run."""
CONNECTIONS = 4
LUA = "envoy.filters.http.lua"
_READING = "local text = read_body(handle)"

Change = Callable[[list[dict[str, Any]]], list[dict[str, Any]]]
"""What is done to the HTTP filters of a gateway."""


def _unread(filters: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The script does all but hold, read and check the body."""
    source = filters[0]["typed_config"]["default_source_code"]
    assert _READING in source["inline_string"], "strict.lua has changed; change bench/strict.py too"
    source["inline_string"] = source["inline_string"].replace(_READING, "local text")
    return filters


def _absent(filters: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [one for one in filters if one["name"] != LUA]


GATEWAYS: Mapping[str, Change] = {
    "whole gateway": lambda filters: filters,
    "without the check of the body": _unread,
    "without the whole script": _absent,
}


async def rows(platform: Platform, rounds: int) -> list[Row]:
    """CPU-milliseconds per request of each gateway, in rounds that take turns; the first warms up."""
    measured: dict[str, list[float]] = {name: [] for name in GATEWAYS}
    async with AsyncExitStack() as opened:
        doors = {name: await opened.enter_async_context(_gateway(platform, GATEWAYS[name])) for name in GATEWAYS}
        for number in range(rounds + 1):
            # Whoever comes first has cold caches: take turns in that too.
            order = sorted(doors, key=lambda name: (list(doors).index(name) + number) % len(doors))
            for name in order:
                measured[name].append(await _round(platform, *doors[name]))
    return [
        Row(f"gateway, PATCH of 1 KB: {name}", tuple(values[1:]), "CPU-ms", "less") for name, values in measured.items()
    ]


async def _round(platform: Platform, port: int, pid: int) -> float:
    requests = itertools.cycle([_patch(port, token) for token in platform.tokens])
    connections = await connect(port, CONNECTIONS)
    before = _cpu_seconds(pid)
    await asyncio.gather(*(_asked(one, requests) for one in connections))
    spent = _cpu_seconds(pid) - before
    for one in connections:
        one.transport.close()
    return spent / REQUESTS * 1000


def _cpu_seconds(pid: int) -> float:
    """To the nanosecond; the times that other rows read come in hundredths of a second, too coarse for one filter."""
    threads = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9


async def _asked(connection: Connection, requests: Any) -> None:
    for _ in range(REQUESTS // CONNECTIONS):
        if (status := await connection.ask(next(requests))) != b"200":
            raise SystemExit(f"a change over REST was answered with {status.decode()}; the figures would mean nothing")


def body() -> bytes:
    """Nine fields, as many as the contract's largest request has, of 1 KiB."""
    profile = {
        "userId": "user_01k3v7c2e5f9rbq0j4mzx8w6td",
        "displayName": "Ana María Torres y Ruiz, but everybody calls her Ana",
        "handle": "",
        "locale": "en-GB",
        "timeZone": "Europe/Lisbon",
        "avatarUrl": "https://example.com/",
        "etag": "",
        "createTime": "2026-01-31T12:00:00.123456Z",
        "updateTime": "2026-01-31T12:00:00.123456Z",
    }
    missing = 1024 - len(json.dumps(profile, ensure_ascii=False).encode())
    return json.dumps(profile | {"avatarUrl": profile["avatarUrl"] + "x" * missing}, ensure_ascii=False).encode()


def _patch(port: int, token: str) -> bytes:
    content = body()
    head = (
        f"PATCH /v1/users/me HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nauthorization: Bearer {token}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


@asynccontextmanager
async def _gateway(platform: Platform, change: Change) -> AsyncIterator[tuple[int, int]]:
    """Another gateway before the same services; yields its port and process id."""
    with tempfile.TemporaryDirectory(prefix="tb-") as folder:
        http, https, *_ = (port for port in range(FIRST_PORT + 8000, FIRST_PORT + 8900) if free(port))
        addresses = replace(
            platform.layout.addresses, run_dir=folder, envoy_dir=folder, http_port=http, https_port=https
        )
        _write(addresses, change)
        process = await asyncio.create_subprocess_exec(
            *envoys.command(GATEWAY, addresses), stdout=asyncio.subprocess.DEVNULL
        )
        try:
            await _ready(addresses)
            yield http, process.pid
        finally:
            process.terminate()
            await process.wait()


def _write(addresses: Addresses, change: Change) -> None:
    made = dict(envoys.files(GATEWAY, contract(), addresses))
    path = envoys.config_path(GATEWAY, addresses)
    config = yaml.safe_load(made[path])
    for listener in config["static_resources"]["listeners"]:
        manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
        manager["http_filters"] = change(manager["http_filters"])
    for name, text in (made | {path: envoy.dump(config)}).items():
        Path(name).write_text(text)


async def _ready(addresses: Addresses) -> None:
    transport = httpx.AsyncHTTPTransport(uds=addresses.admin_socket(GATEWAY))
    until = time.monotonic() + PATIENCE
    async with httpx.AsyncClient(transport=transport, base_url="http://admin") as client:
        while time.monotonic() < until:
            try:
                if (await client.get("/ready")).text.strip() == "LIVE":
                    return
            except httpx.TransportError:
                await asyncio.sleep(0.05)
    raise SystemExit("The gateway for the benchmark does not start.")
