"""A small service for tests of the mesh: it answers with what it was asked, and fails on demand.

Its contract is made here, so that each test can have the policy that it is about.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import grpc
from tulle.auth.v1 import auth_pb2
from tulle.users.v1 import users_pb2 as pb

from mesh import contract
from mesh.app import App
from mesh.call import Call, Peer, current
from mesh.contract import Contract, Method
from mesh.model import (
    NotFound,
    OrganisationId,
    SessionId,
    Unauthenticated,
    Unavailable,
    User,
    UserId,
    new_id,
)
from mesh.telemetry import Telemetry
from mesh.transports.inprocess import InProcess

SERVICE = "tulle.echo.v1.EchoService"
ECHO = Method(
    service=SERVICE,
    name="Echo",
    input="tulle.users.v1.UpdateProfileRequest",
    output="tulle.users.v1.Profile",
    server_streaming=False,
    end_user=contract.NONE,
    roles=frozenset(),
    fresh=False,
    callers=frozenset({"gateway"}),
    rate_limit=None,
    deadline=2.0,
    reasons=frozenset(),
    emits=(),
    retry_safe=False,
    returns_secret=False,
    request_id=False,
    http=(),
)
STREAM = replace(ECHO, name="Repeat", server_streaming=True)
ONCE = replace(ECHO, name="Once", input="tulle.auth.v1.SignUpRequest", request_id=True)
ADA = new_id("user", 1)


class EchoLost(NotFound):
    """There is no echo here."""


def contract_of(**policy: Any) -> Contract:
    """The contract of the service, all of its methods with this policy."""
    methods = tuple(replace(method, **policy) for method in (ECHO, STREAM, ONCE))
    return Contract({SERVICE: contract.Service(SERVICE, "echo", methods)}, {}, contract.contract().pool)


def ask(name: str = "Ada") -> pb.UpdateProfileRequest:
    """A request; the display name says what the service does."""
    return pb.UpdateProfileRequest(profile=pb.Profile(display_name=name))


def sign_up(request_id: str = "") -> auth_pb2.SignUpRequest:
    """A request with a request id."""
    return auth_pb2.SignUpRequest(email="ada@example.com", request_id=request_id)


@dataclass
class EchoServicer:
    """Answers with the profile; `lost`, `broken`, `slow` and errors in `raises` do what they say."""

    calls: list[Call] = field(default_factory=list)
    currents: list[Call | None] = field(default_factory=list)
    """What stubs would have found, call by call."""
    raises: Mapping[str, BaseException] = field(default_factory=dict)
    cancelled: int = 0

    async def Echo(self, request: pb.UpdateProfileRequest, call: Call) -> pb.Profile:
        self.calls.append(call)
        self.currents.append(current.get())
        await self._do(request.profile.display_name)
        return request.profile

    async def Once(self, request: auth_pb2.SignUpRequest, call: Call) -> pb.Profile:
        self.calls.append(call)
        return pb.Profile(display_name=str(len(self.calls)))

    async def Repeat(self, request: pb.UpdateProfileRequest, call: Call) -> AsyncIterator[pb.Profile]:
        self.calls.append(call)
        for number in range(1, 4):
            yield pb.Profile(display_name=f"{request.profile.display_name} {number}")
        await self._do(request.profile.display_name)

    async def _do(self, what: str) -> None:
        if what in self.raises:
            raise self.raises[what]
        if what == "slow":
            try:
                await asyncio.sleep(30)
            except asyncio.CancelledError:
                self.cancelled += 1
                raise


def add_to_server(servicer: Any, server: Any) -> None:
    """What grpc would generate."""
    unary, stream = grpc.unary_unary_rpc_method_handler, grpc.unary_stream_rpc_method_handler
    handlers: dict[str, Any] = {
        "Echo": unary(servicer.Echo),
        "Once": unary(servicer.Once),
        "Repeat": stream(servicer.Repeat),
    }
    server.add_registered_method_handlers(SERVICE, handlers)


async def until(condition: Callable[[], object], within: float = 5.0) -> None:
    """Wait until `condition` holds. Raises: TimeoutError."""
    async with asyncio.timeout(within):
        while not condition():  # noqa: ASYNC110 (what is waited for tells nobody)
            await asyncio.sleep(0.005)


class EchoStub:
    """What grpc would generate."""

    def __init__(self, channel: Any) -> None:
        encode, decode = pb.UpdateProfileRequest.SerializeToString, pb.Profile.FromString
        self.Echo = channel.unary_unary(f"/{SERVICE}/Echo", encode, decode)
        self.Repeat = channel.unary_stream(f"/{SERVICE}/Repeat", encode, decode)
        self.Once = channel.unary_unary(f"/{SERVICE}/Once", auth_pb2.SignUpRequest.SerializeToString, decode)


@dataclass
class Credentials:
    """Plays TokenVerifier and SessionCheck: tokens are `<user id>` or `<user id>/<role>`."""

    life: float = 300.0
    ended: set[str] = field(default_factory=set)
    roles: frozenset[str] = frozenset({"checked"})
    away: bool = False
    organisation_id: str = "o"

    async def verify(self, token: str) -> tuple[User, float]:
        if self.away:
            raise Unavailable
        user_id, _, role = token.partition("/")
        if not user_id.startswith("user_"):
            raise Unauthenticated
        roles = frozenset({role} - {""})
        here = OrganisationId(self.organisation_id)
        return User(UserId(user_id), here, SessionId("s"), roles), time.time() + self.life

    async def check(self, user: User) -> User:
        if user.user_id in self.ended:
            raise Unauthenticated
        return replace(user, roles=self.roles)


@dataclass
class Echo:
    """The service with everything that a test may want to turn."""

    servicer: EchoServicer = field(default_factory=EchoServicer)
    credentials: Credentials = field(default_factory=Credentials)
    idempotency: Any = None
    lines: list[str] = field(default_factory=list)
    policy: dict[str, Any] = field(default_factory=dict)
    trace_ratio: float = 0.0

    def __post_init__(self) -> None:
        self.telemetry = Telemetry("users", self.trace_ratio, self.lines.append)

    @property
    def app(self) -> App:
        return App("users", ((add_to_server, self.servicer),), self.credentials, self.credentials, self.idempotency)

    @property
    def contract(self) -> Contract:
        return contract_of(**self.policy)

    def stub(self, token: str = "", workload: str = "gateway", **metadata: str) -> Any:
        """A stub that calls in process."""
        given = {key.replace("_", "-"): value for key, value in metadata.items()}
        if token:
            given["authorization"] = f"Bearer {token}"
        return EchoStub(InProcess(self.app, Peer(workload, "127.0.0.9"), given, self.telemetry, self.contract))
