"""The doors of a running stack: REST and gRPC at the edge, gRPC to a sidecar.

Every caller gets a client address of its own in 127.0.0.0/8, so that no test meets the rate limit
of another and none has to raise it.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import httpx

_addresses = (f"127.{os.getpid() % 250 + 2}.{n // 250}.{n % 250 + 2}" for n in itertools.count())


def new_address() -> str:
    """A client address that nobody has used in this run."""
    return next(_addresses)


@dataclass(frozen=True)
class Edge:
    """The gateway from outside. `ca`: file of the authority that signed its TLS certificate."""

    host: str
    http_port: int
    https_port: int
    ca: Path

    def rest(self, address: str | None = None, tls: bool = False) -> httpx.AsyncClient:
        """A REST client that comes from `address`."""
        context = ssl.create_default_context(cafile=str(self.ca)) if tls else False
        transport = httpx.AsyncHTTPTransport(local_address=address or new_address(), verify=context)
        url = f"https://{self.host}:{self.https_port}" if tls else f"http://{self.host}:{self.http_port}"
        return httpx.AsyncClient(base_url=url, transport=transport, timeout=10)

    @contextlib.asynccontextmanager
    async def grpc(self, address: str | None = None, tls: bool = False) -> AsyncIterator[grpc.aio.Channel]:
        """A gRPC channel that comes from `address`."""
        port = self.https_port if tls else self.http_port
        async with _forwarder(self.host, port, address or new_address()) as target:
            options = [("grpc.ssl_target_name_override", "localhost")]
            credentials = grpc.ssl_channel_credentials(self.ca.read_bytes())
            channel = (
                grpc.aio.secure_channel(target, credentials, options) if tls else grpc.aio.insecure_channel(target)
            )
            async with channel:
                yield channel


@dataclass(frozen=True)
class Sidecar:
    """The mTLS listener of one workload's sidecar."""

    workload: str
    target: str

    def channel(self, certificates: Path | None) -> grpc.aio.Channel:
        """A channel with the certificate in a folder (cert.pem, key.pem, ca.pem); plaintext for None."""
        if certificates is None:
            return grpc.aio.insecure_channel(self.target)
        credentials = grpc.ssl_channel_credentials(
            (certificates / "ca.pem").read_bytes(),
            (certificates / "key.pem").read_bytes(),
            (certificates / "cert.pem").read_bytes(),
        )
        options = [("grpc.ssl_target_name_override", self.workload)]
        return grpc.aio.secure_channel(self.target, credentials, options)


@contextlib.asynccontextmanager
async def _forwarder(host: str, port: int, address: str) -> AsyncIterator[str]:
    """Passes connections on from `address`: gRPC's clients cannot choose one."""
    writers: set[asyncio.StreamWriter] = set()
    tasks: set[asyncio.Task[None] | None] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.current_task())
        upstream, to_upstream = await asyncio.open_connection(host, port, local_addr=(address, 0))
        writers.update((writer, to_upstream))
        await asyncio.gather(_pump(reader, to_upstream), _pump(upstream, writer))

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for writer in writers:
            writer.close()
        await asyncio.gather(*(task for task in tasks if task), return_exceptions=True)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()
