"""A small mesh of real Envoys around a service that answers everything and remembers what it heard."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import grpc
import httpx
from google.rpc import error_details_pb2, status_pb2
from joserfc import jwt
from joserfc.jwk import ECKey
from tulle.auth.v1 import auth_pb2

from infra import ca, envoys
from mesh.contract import DESCRIPTOR_SET, Contract, contract
from mesh.envoy import Addresses
from services import topology

GET_PROFILE = "/tulle.users.v1.UsersService/GetProfile"
UPDATE_PROFILE = "/tulle.users.v1.UsersService/UpdateProfile"
LIST_USERS = "/tulle.users.v1.UsersService/ListUsers"
BATCH_GET = "/tulle.users.v1.UsersService/BatchGetProfiles"
CHECK_SESSION = "/tulle.auth.v1.AccountsService/CheckSession"
LOG_IN = "/tulle.auth.v1.AuthService/LogIn"
GET_JWKS = "/tulle.auth.v1.KeysService/GetJwks"
HEALTH = "/grpc.health.v1.Health/Check"
REFLECTION = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"

APP = "https://app.example.com"
"""The one origin whose pages may call the edge."""

Answer = Callable[[bytes, grpc.ServicerContext], bytes]


@dataclass(frozen=True)
class Heard:
    """A call as the service saw it."""

    path: str
    metadata: Mapping[str, str]
    request: bytes


@dataclass
class Service(grpc.GenericRpcHandler):
    """Answers every method with an empty message, or as `answers` says."""

    name: str
    answers: dict[str, Answer] = field(default_factory=dict)
    heard: list[Heard] = field(default_factory=list)

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes]:
        """The handler of any method."""
        path, metadata = details.method, {key: str(value) for key, value in details.invocation_metadata}

        def run(request: bytes, context: grpc.ServicerContext) -> bytes:
            self.heard.append(Heard(path, metadata, request))
            answer = self.answers.get(path)
            return answer(request, context) if answer else b""

        return grpc.unary_unary_rpc_method_handler(run)

    def last(self) -> Heard:
        """The newest call."""
        return self.heard[-1]


class Signer:
    """The key of access tokens, and tokens good and bad."""

    def __init__(self) -> None:
        self.key = ECKey.generate_key("P-256", parameters={"kid": "one", "alg": "ES256", "use": "sig"})

    def jwks(self) -> bytes:
        """What KeysService/GetJwks answers."""
        public = {name: str(value) for name, value in self.key.as_dict(private=False).items() if isinstance(value, str)}
        return auth_pb2.Jwks(keys=[auth_pb2.Jwk(**public)]).SerializeToString()

    def token(self, issuer: str, header: Mapping[str, Any] = {}, key: Any = None, **claims: Any) -> str:
        """An access token; a claim of None is left out."""
        now = int(time.time())
        everything = {
            "iss": issuer,
            "aud": "tulle",
            "sub": "user_1",
            "roles": [],
            "iat": now,
            "exp": now + 300,
        } | claims
        full = {"alg": "ES256", "kid": "one", "typ": "at+jwt"} | dict(header)
        kept = {name: value for name, value in everything.items() if value is not None}
        return jwt.encode(full, kept, key or self.key, algorithms=[str(full["alg"])])


@dataclass
class Rig:
    """Everything that a test reaches for."""

    addresses: Addresses
    authority: ca.Authority
    services: Mapping[str, Service]
    signer: Signer
    contract: Contract = field(default_factory=contract)
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def token(self, **changes: Any) -> str:
        """A token of the gateway's issuer."""
        return self.signer.token(self.addresses.public_url, **changes)

    def rest(self, address: str = "127.0.0.1", *, tls: bool = False, token: str = "", **options: Any) -> httpx.Client:
        """A REST client with an address of its own."""
        context = ssl.create_default_context(cafile=str(self.certs("gateway") / "ca.pem")) if tls else False
        transport = httpx.HTTPTransport(local_address=address, verify=context, **options)
        port, scheme = (self.addresses.https_port, "https") if tls else (self.addresses.http_port, "http")
        headers = {"authorization": f"Bearer {token}"} if token else {}
        return httpx.Client(base_url=f"{scheme}://127.0.0.1:{port}", transport=transport, headers=headers)

    def edge(self) -> grpc.Channel:
        """A gRPC channel to the gateway."""
        return grpc.insecure_channel(f"127.0.0.1:{self.addresses.http_port}")

    def certs(self, name: str) -> Path:
        """The folder of somebody's certificate."""
        return Path(self.addresses.certs_dir) / name

    def mesh(self, caller: str, callee: str) -> grpc.Channel:
        """A channel to a sidecar with the certificate in the folder `caller`."""
        identity = ca.read(self.certs(caller))
        authority = self.authority.pem
        credentials = grpc.ssl_channel_credentials(authority, identity.key, identity.certificate)
        target = f"127.0.0.1:{self.addresses.ports[callee]}"
        return grpc.secure_channel(target, credentials, (("grpc.ssl_target_name_override", callee),))

    def out(self, workload: str) -> grpc.Channel:
        """The channel of a workload's service to all others."""
        return grpc.insecure_channel(f"unix:{self.addresses.out_socket(workload)}")

    def start(self, workload: str) -> None:
        """Start the workload's Envoy and wait until it is ready."""
        for path, text in envoys.files(workload, self.contract, self.addresses).items():
            Path(path).write_text(text)
        with self._log(workload).open("ab") as log:
            command = envoys.command(workload, self.addresses)
            self.processes[workload] = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        self._await_ready(workload)

    def stop(self, workload: str) -> None:
        """Kill the workload's Envoy."""
        process = self.processes.pop(workload)
        process.kill()
        process.wait()

    def log(self, workload: str) -> str:
        """What the workload's Envoy has printed."""
        return self._log(workload).read_text()

    def _log(self, workload: str) -> Path:
        # Not beside the files that Envoy watches: it would wake up at each line.
        return Path(self.addresses.run_dir, f"{workload}.log")

    def admin(self, workload: str, path: str) -> str:
        """What the admin interface of the workload's Envoy answers."""
        transport = httpx.HTTPTransport(uds=self.addresses.admin_socket(workload))
        with httpx.Client(transport=transport, base_url="http://admin") as client:
            return client.get(path).text

    def _await_ready(self, workload: str) -> None:
        until = time.monotonic() + 15
        while time.monotonic() < until:
            try:
                if self.admin(workload, "/ready").strip() == "LIVE":
                    return
            except httpx.TransportError:
                pass
            if self.processes[workload].poll() is not None:
                break
            time.sleep(0.05)
        raise AssertionError(self.log(workload))


def call(
    channel: grpc.Channel, path: str, request: bytes = b"", timeout: float = 5, metadata: Sequence[tuple[str, str]] = ()
) -> bytes:
    """One unary call with raw messages."""
    method: Any = channel.unary_unary(path, request_serializer=None, response_deserializer=None)
    return bytes(method(request, timeout=timeout, metadata=metadata))


def slow(seconds: float) -> Answer:
    """An answer that takes its time."""

    def answer(request: bytes, context: grpc.ServicerContext) -> bytes:
        time.sleep(seconds)
        return b""

    return answer


def status(channel: grpc.Channel, path: str, request: bytes = b"", **options: Any) -> grpc.StatusCode:
    """The status of one unary call."""
    try:
        call(channel, path, request, **options)
    except grpc.RpcError as error:
        return error.code()
    return grpc.StatusCode.OK


def refused(channel: grpc.Channel, path: str, **options: Any) -> tuple[grpc.StatusCode, str, str, float]:
    """Code, message, reason and seconds to wait of a call that is refused, all told twice and alike."""
    try:
        call(channel, path, **options)
    except grpc.RpcError as error:
        told: Any = error
    trailers = {row.key: row.value for row in told.trailing_metadata()}
    status = status_pb2.Status.FromString(trailers["grpc-status-details-bin"])
    info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
    assert status.details[0].Unpack(info)
    assert status.code == told.code().value[0]
    assert told.details().startswith(status.message)
    waits = len(status.details) > 1 and status.details[1].Unpack(retry)
    reason = f"{info.domain}/{info.reason}"
    return told.code(), told.details(), reason, retry.retry_delay.ToTimedelta().total_seconds() if waits else 0.0


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on."""
    with ExitStack() as stack:
        taken = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in taken:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in taken]


@contextmanager
def serving(service: Service, path: str) -> Iterator[grpc.Server]:
    """The service on its socket."""
    server = grpc.server(ThreadPoolExecutor(16))
    server.add_generic_rpc_handlers((service,))
    server.add_insecure_port(f"unix:{path}")
    server.start()
    try:
        yield server
    finally:
        server.stop(None).wait()


def _addresses(root: Path, contract: Contract) -> Addresses:
    served = [workload.name for workload in contract.workloads if workload.serves]
    http, https, *ports = free_ports(2 + len(served))
    for name in ("run", "envoy"):
        (root / name).mkdir(mode=0o700)
    return Addresses(
        run_dir=str(root / "run"),
        certs_dir=str(root / "certs"),
        secrets_dir=str(root / "secrets"),
        envoy_dir=str(root / "envoy"),
        descriptor_set=str(DESCRIPTOR_SET),
        ports=dict(zip(served, ports, strict=True)),
        http_port=http,
        https_port=https,
        public_url="https://tulle.test",
        cors_origins=(APP,),
    )


def _identities(addresses: Addresses, contract: Contract) -> ca.Authority:
    certs = Path(addresses.certs_dir)
    authority = ca.open_authority(certs)
    for workload in contract.workloads:
        ca.issue(authority, certs / workload.name, [workload.name], topology.spiffe_id(workload.name))
        secret = Path(addresses.secrets_dir, workload.name)
        secret.mkdir(parents=True)
        (secret / "sidecar").write_text(f"secret of {workload.name}")
    ca.issue(authority, certs / "edge", ["localhost", "127.0.0.1"])
    return authority


@contextmanager
def rig(of: Contract | None = None, kind: type[Rig] = Rig, **changes: Any) -> Iterator[Rig]:
    """All services, their sidecars and the gateway.

    `of`: another contract; `kind`: what starts Envoys in another way; `changes`: of the Addresses.
    """
    root, of = Path(tempfile.mkdtemp(prefix="tulle-")), of or contract()
    addresses, signer = replace(_addresses(root, of), **changes), Signer()
    services = {workload.name: Service(workload.name) for workload in topology.WORKLOADS if workload.serves}
    services["auth"].answers[GET_JWKS] = lambda request, context: signer.jwks()
    made = kind(addresses, _identities(addresses, of), services, signer, of)
    try:
        with ExitStack() as stack:
            for name, service in services.items():
                stack.enter_context(serving(service, addresses.socket(name)))
            for workload in envoys.proxied(of):
                made.start(workload)
            yield made
    finally:
        for workload in list(made.processes):
            made.stop(workload)
        shutil.rmtree(root)
