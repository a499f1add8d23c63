"""The echo that bench/pipeline.py measures: its contract, its service, and the two servers of it.

`python -m bench.echo '[kind, socket, token, jwks]'` is one server, `bare` or `mesh`, until it is ended.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import uvloop
from joserfc import jwt
from joserfc.jwk import ECKey
from tulle.auth.v1 import auth_pb2 as pb

from mesh import contract
from mesh.app import App
from mesh.contract import Contract, Method
from mesh.identity import SECRET, XFCC, SidecarIdentity
from mesh.jwks import Keys
from mesh.lines import Lines
from mesh.model import User, new_id
from mesh.pipeline import Pipeline
from mesh.registry import collect
from mesh.telemetry import Telemetry
from mesh.tokens import ALGORITHM, AUDIENCE, TYPE, TokenVerifier
from mesh.transports import grpcaio
from services import topology

ISSUER = "http://bench"
TRACE_RATIO = 0.01
SERVICE = "tulle.bench.v1.EchoService"
PATH = f"/{SERVICE}/Echo"
MESSAGE = pb.SignUpRequest
ECHO = Method(
    service=SERVICE,
    name="Echo",
    input=MESSAGE.DESCRIPTOR.full_name,
    output=MESSAGE.DESCRIPTOR.full_name,
    server_streaming=False,
    end_user=contract.REQUIRED,
    roles=frozenset({"administrator"}),
    fresh=False,
    callers=frozenset({"gateway"}),
    rate_limit=None,
    deadline=5.0,
    reasons=frozenset(),
    emits=(),
    retry_safe=False,
    returns_secret=False,
    request_id=True,
    http=(),
)
CONTRACT = Contract({SERVICE: contract.Service(SERVICE, "bench", (ECHO,))}, {}, contract.contract().pool)


@dataclass(frozen=True)
class Credentials:
    """What the caller shows and the server knows."""

    token: str
    jwks: dict[str, Any]
    sidecar: str = "bench"

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What a sidecar adds and a gateway passes on."""
        return (
            (SECRET, self.sidecar),
            (XFCC, f"By={topology.spiffe_id('users')};URI={topology.spiffe_id('gateway')}"),
            ("authorization", f"Bearer {self.token}"),
            ("x-request-id", "0b8c9f6a-63a7-4c9e-9d55-0d2a8b3f6c11"),
            ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"),
        )


def credentials() -> Credentials:
    """A new key and a token that it has signed."""
    key = ECKey.generate_key("P-256", {"kid": "bench"})
    now = int(time.time())
    claims = {"iss": ISSUER, "aud": AUDIENCE, "iat": now, "exp": now + 300, "jti": "1", "sid": new_id("session")}
    claims |= {"sub": new_id("user"), "org": new_id("organisation"), "roles": ["administrator"]}
    token = jwt.encode({"alg": ALGORITHM, "typ": TYPE, "kid": "bench"}, claims, key)
    return Credentials(token, {"keys": [key.as_dict(private=False)]})


def request() -> bytes:
    """A sign-up with a request id of its own."""
    return MESSAGE(email="ada@example.com", request_id=str(uuid.uuid4())).SerializeToString()


class Servicer:
    """Answers with what it was asked."""

    async def Echo(self, request: Any, call: Any) -> Any:
        return request


class LastOnly:
    """Idempotency without a database: it remembers one request."""

    def __init__(self) -> None:
        self._last = ("", b"")

    async def once(
        self,
        principal: str,
        method: str,
        request_id: str,
        digest: bytes,
        run: Callable[[], Awaitable[bytes]],
        keep: bool,
    ) -> bytes:
        if self._last[0] != request_id:
            self._last = (request_id, await run())
        return self._last[1]


class NotAsked:
    """The method is not `fresh`."""

    async def check(self, user: User) -> User:
        return user


def add_to_server(servicer: Any, server: Any) -> None:
    """What grpc generates for a service."""
    echo = grpc.unary_unary_rpc_method_handler(servicer.Echo, MESSAGE.FromString, MESSAGE.SerializeToString)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {"Echo": echo}),))
    server.add_registered_method_handlers(SERVICE, {"Echo": echo})


def app(shown: Credentials) -> App:
    """The echo service with real tokens."""

    async def fetch() -> dict[str, Any]:
        return shown.jwks

    return App("users", ((add_to_server, Servicer()),), TokenVerifier(Keys(fetch), ISSUER), NotAsked(), LastOnly())


async def _bare(socket: str) -> None:
    server = grpc.aio.server()
    add_to_server(Servicer(), server)
    server.add_insecure_port(f"unix:{socket}")
    await server.start()
    await server.wait_for_termination()


async def _mesh(socket: str, shown: Credentials) -> None:
    served, lines = app(shown), Lines(os.open(os.devnull, os.O_WRONLY))
    telemetry = Telemetry("users", TRACE_RATIO, lines.write)
    handlers = collect(served, Pipeline(served, telemetry), CONTRACT)
    server = grpcaio.server(handlers, SidecarIdentity("users", shown.sidecar), Path(socket))
    await server.start()
    # As mesh.server does.
    gc.collect()
    gc.freeze()
    await asyncio.gather(server.wait_for_termination(), telemetry.run())


def main(kind: str, socket: str, token: str, jwks: dict[str, Any]) -> None:
    """Serve."""
    uvloop.run(_bare(socket) if kind == "bare" else _mesh(socket, Credentials(token, jwks)))


if __name__ == "__main__":
    main(*json.loads(sys.argv[1]))
