"""gRPC from sidecar to sidecar: who gets in, what the service is told, and how calls are repeated."""

from __future__ import annotations

import logging
import socket
import ssl
import stat
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import httpx
import pytest

from infra import ca
from mesh.contract import contract
from mesh.hops import RETRIES
from services import topology
from tests.integration.envoy.rig import (
    BATCH_GET,
    CHECK_SESSION,
    GET_JWKS,
    GET_PROFILE,
    HEALTH,
    REFLECTION,
    Rig,
    Service,
    call,
    refused,
    slow,
    status,
)

S = grpc.StatusCode
CALLERS = [workload.name for workload in topology.WORKLOADS]
CALLEES = [workload.name for workload in topology.WORKLOADS if workload.serves]


def may(caller: str, callee: str) -> set[str]:
    """What the contract allows, read without the code under test."""
    methods = (m for name in topology.WORKLOAD[callee].serves for m in contract().services[name].methods)
    return {method.path for method in methods if caller in method.callers}


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("callee", CALLEES)
def test_every_workload_may_call_exactly_what_the_contract_says(mesh: Rig, caller: str, callee: str) -> None:
    """Workload × method: what is allowed passes, everything else is refused, or the handshake fails."""
    allowed = may(caller, callee)
    known = bool(allowed) or caller == "operator"
    refused = S.PERMISSION_DENIED if known else S.UNAVAILABLE
    with mesh.mesh(caller, callee) as channel:
        for method in contract().methods:
            expected = S.OK if method.path in allowed else refused
            assert status(channel, method.path) == expected, method.path
        assert status(channel, HEALTH) == (S.OK if known else refused)
        assert status(channel, REFLECTION) == (S.OK if caller == "operator" else refused)


@pytest.fixture
def stranger(mesh: Rig) -> Path:
    return mesh.certs("stranger")


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "spiffe://tulle.local/ns/tulle/sa/stranger",
        "spiffe://tulle.local/ns/tulle/sa/gateway2",
        "spiffe://tulle.local/ns/tulle/sa/gateway/x",
        "spiffe://elsewhere/ns/tulle/sa/gateway",
    ],
)
def test_a_stranger_s_certificate_fails_the_handshake(mesh: Rig, stranger: Path, uri: str) -> None:
    """Only exact identities count, even when our own authority signed."""
    ca.issue(mesh.authority, stranger, ["gateway"], uri)
    with mesh.mesh("stranger", "users") as channel:
        assert status(channel, GET_PROFILE) == S.UNAVAILABLE


def test_another_authority_s_certificate_fails_the_handshake(mesh: Rig, stranger: Path, tmp_path: Path) -> None:
    """A right name from a wrong authority is no identity."""
    ca.issue(ca.open_authority(tmp_path), stranger, ["gateway"], topology.spiffe_id("gateway"))
    with mesh.mesh("stranger", "users") as channel:
        assert status(channel, GET_PROFILE) == S.UNAVAILABLE


def test_an_expired_certificate_fails_the_handshake(mesh: Rig, stranger: Path) -> None:
    """Yesterday's identity is none."""
    yesterday = datetime.now(UTC) - timedelta(days=2)
    ca.issue(mesh.authority, stranger, ["gateway"], topology.spiffe_id("gateway"), yesterday)
    with mesh.mesh("stranger", "users") as channel:
        assert status(channel, GET_PROFILE) == S.UNAVAILABLE


def _handshake(mesh: Rig, context: ssl.SSLContext) -> bytes:
    address = ("127.0.0.1", mesh.addresses.ports["users"])
    with socket.create_connection(address, 5) as plain, context.wrap_socket(plain, server_hostname="users") as tls:
        tls.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0")
        return tls.recv(100)


def _context(mesh: Rig) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(mesh.certs("gateway") / "ca.pem"))
    context.set_alpn_protocols(["h2"])
    return context


def test_without_a_certificate_nobody_gets_in(mesh: Rig) -> None:
    """Server-side TLS alone does not open the door."""
    with pytest.raises((ssl.SSLError, ConnectionError)):
        _handshake(mesh, _context(mesh))


def test_older_tls_is_refused(mesh: Rig) -> None:
    """TLS 1.3 only."""
    context = _context(mesh)
    context.load_cert_chain(mesh.certs("gateway") / "cert.pem", mesh.certs("gateway") / "key.pem")
    assert _handshake(mesh, context)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError, match=r"PROTOCOL_VERSION|protocol version"):
        _handshake(mesh, context)


def test_plaintext_is_refused(mesh: Rig) -> None:
    """A sidecar's port speaks nothing without TLS."""
    with grpc.insecure_channel(f"127.0.0.1:{mesh.addresses.ports['users']}") as channel:
        assert status(channel, GET_PROFILE) == S.UNAVAILABLE


def test_a_forged_identity_is_replaced(mesh: Rig) -> None:
    """Whatever a caller says about who calls, its sidecar-to-be hears one element: the truth."""
    forged = (
        ("x-forwarded-client-cert", "By=spiffe://x;URI=" + topology.spiffe_id("gateway")),
        ("x-forwarded-client-cert", "By=spiffe://y;URI=" + topology.spiffe_id("auth")),
        ("x-tulle-sidecar", "guess"),
    )
    with mesh.mesh("operator", "users") as channel:
        call(channel, BATCH_GET, metadata=forged)
    metadata = mesh.services["users"].last().metadata
    by, _, uri = metadata["x-forwarded-client-cert"].split(";")
    assert by == "By=" + topology.spiffe_id("users")
    assert uri == "URI=" + topology.spiffe_id("operator")
    assert metadata["x-tulle-sidecar"] == "secret of users"


def test_only_the_gateway_is_believed_about_the_client(mesh: Rig) -> None:
    """What others say of the client's address is dropped."""
    said = (("x-tulle-client-address", "9.9.9.9"),)
    for caller, expected in (("gateway", "9.9.9.9"), ("users", None)):
        with mesh.mesh(caller, "auth") as channel:
            call(channel, GET_JWKS, metadata=said)
        assert mesh.services["auth"].last().metadata.get("x-tulle-client-address") == expected


def test_a_caller_cannot_stretch_the_deadline(mesh: Rig) -> None:
    """Envoy's own request headers are not obeyed, and the deadline ends a call in time."""
    mesh.services["auth"].answers[CHECK_SESSION] = slow(2)
    wish = (("x-envoy-upstream-rq-timeout-ms", "60000"), ("x-envoy-max-retries", "9"))
    started = time.monotonic()
    with mesh.out("users") as channel:
        assert status(channel, CHECK_SESSION, metadata=wish, timeout=20) == S.DEADLINE_EXCEEDED
    assert time.monotonic() - started < 1.5


def test_a_service_reaches_what_its_workload_calls(mesh: Rig) -> None:
    """The outbound socket leads to the callee, who knows the caller; its policy decides there."""
    with mesh.out("users") as channel:
        assert status(channel, CHECK_SESSION) == S.OK
        heard = mesh.services["auth"].last().metadata["x-forwarded-client-cert"]
        assert heard.endswith("URI=" + topology.spiffe_id("users"))
        assert status(channel, "/tulle.auth.v1.AuthService/LogIn") == S.PERMISSION_DENIED
        assert status(channel, GET_PROFILE) == S.UNIMPLEMENTED


def test_only_safe_methods_are_repeated_and_only_so_often(mesh: Rig) -> None:
    """UNAVAILABLE is tried again where the contract says so: a blip is not seen, an outage is."""
    service, left = mesh.services["auth"], [1]

    def away(request: bytes, context: grpc.ServicerContext) -> bytes:
        if left[0]:
            left[0] -= 1
            context.abort(S.UNAVAILABLE, "blip")
        return b""

    service.answers[CHECK_SESSION] = away
    with mesh.out("users") as channel:
        assert status(channel, CHECK_SESSION) == S.OK
        left[0], before = 100, len(service.heard)
        assert status(channel, CHECK_SESSION) == S.UNAVAILABLE
    assert len(service.heard) - before == 1 + RETRIES


def test_a_sidecar_s_own_refusals_read_like_a_service_s(mesh: Rig) -> None:
    """Code, words without innards, reason, and when to come again."""
    with mesh.mesh("gateway", "users") as channel:
        assert refused(channel, BATCH_GET) == (S.PERMISSION_DENIED, "You may not do this.", "mesh.tulle/DENIED", 0.0)
    mesh.stop("auth")
    try:
        with mesh.out("users") as channel:
            told = refused(channel, CHECK_SESSION)
            assert told == (S.UNAVAILABLE, "Not available now; try again.", "mesh.tulle/UNAVAILABLE", 1.0)
            assert refused(channel, GET_PROFILE)[::2] == (S.UNIMPLEMENTED, "mesh.tulle/NO_SUCH_METHOD")
    finally:
        mesh.start("auth")


def test_an_impostor_is_not_called(mesh: Rig) -> None:
    """A callee whose certificate is not exactly the expected one gets no call."""
    mesh.stop("auth")
    folder, impostor = mesh.certs("users"), Service("impostor")
    server = grpc.server(ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers((impostor,))
    pair = [((folder / "key.pem").read_bytes(), (folder / "cert.pem").read_bytes())]
    server.add_secure_port(f"127.0.0.1:{mesh.addresses.ports['auth']}", grpc.ssl_server_credentials(pair))
    server.start()
    try:
        with mesh.out("users") as channel:
            assert status(channel, CHECK_SESSION) == S.UNAVAILABLE
        assert not impostor.heard
    finally:
        server.stop(None).wait()
        mesh.start("auth")


def test_keys_are_plain_json_inside_the_mesh_and_nothing_else_is(mesh: Rig) -> None:
    """KeysService answers GET over mutual TLS under the same policy; no other method has a REST twin there."""
    base = f"https://auth:{mesh.addresses.ports['auth']}"

    def get(caller: str, verb: str, path: str) -> httpx.Response:
        context = _context(mesh)
        context.load_cert_chain(mesh.certs(caller) / "cert.pem", mesh.certs(caller) / "key.pem")
        transport = httpx.HTTPTransport(verify=context, http1=False, http2=True)
        with httpx.Client(transport=transport) as client:
            url = base.replace("auth:", "127.0.0.1:") + path
            return client.request(verb, url, extensions={"sni_hostname": "auth"})

    assert get("gateway", "GET", "/.well-known/jwks.json").json()["keys"][0]["kid"] == "one"
    assert get("operator", "GET", "/.well-known/jwks.json").status_code == 403
    assert get("gateway", "POST", "/v1/auth:logIn").status_code == 404
    assert get("gateway", "POST", "/tulle.auth.v1.AuthService/LogIn").status_code in {403, 404}


def test_sockets_belong_to_their_owner(mesh: Rig) -> None:
    """Nobody else may open the doors that need no certificate."""
    for path in (mesh.addresses.out_socket("users"), mesh.addresses.admin_socket("users")):
        assert stat.S_IMODE(Path(path).stat().st_mode) == 0o600


class Load:
    """Calls from several threads until told to stop, each way into the mesh; failures are kept."""

    def __init__(self, mesh: Rig) -> None:
        self.mesh, self.done, self.failures, self.calls = mesh, threading.Event(), list[str](), 0

    def _long_lived(self) -> None:
        with self.mesh.out("users") as channel:
            while not self.done.is_set():
                self._note("out", status(channel, CHECK_SESSION))

    def _rest(self) -> None:
        with self.mesh.rest("127.0.2.1", token=self.mesh.token(sub="user_rotating")) as client:
            while not self.done.is_set():
                self._note("rest", client.get("/.well-known/jwks.json").status_code)

    def _fresh_connections(self) -> None:
        while not self.done.is_set():
            with self.mesh.mesh("gateway", "users") as channel:
                self._note("fresh", status(channel, GET_PROFILE))

    def _note(self, way: str, outcome: object) -> None:
        self.calls += 1
        if outcome not in {S.OK, 200, 429}:
            self.failures.append(f"{way}: {outcome}")

    def __enter__(self) -> Load:
        self.pool = ThreadPoolExecutor(3)
        self.running = [self.pool.submit(run) for run in (self._long_lived, self._rest, self._fresh_connections)]
        return self

    def __exit__(self, *_: object) -> None:
        self.done.set()
        for one in self.running:
            one.result()
        self.pool.shutdown()


def _serial(mesh: Rig, callee: str) -> str:
    context = _context(mesh)
    context.load_cert_chain(mesh.certs("gateway") / "cert.pem", mesh.certs("gateway") / "key.pem")
    address = ("127.0.0.1", mesh.addresses.ports[callee])
    with socket.create_connection(address, 5) as plain, context.wrap_socket(plain, server_hostname=callee) as tls:
        return str((tls.getpeercert() or {})["serialNumber"])


def test_certificates_rotate_under_load_without_a_failed_call(mesh: Rig) -> None:
    """Every rotation is taken up by running Envoys, and no call notices."""
    serials = set()
    with Load(mesh) as load:
        for _ in range(5):
            for workload in topology.WORKLOADS:
                ca.issue(mesh.authority, mesh.certs(workload.name), [workload.name], topology.spiffe_id(workload.name))
            time.sleep(0.4)
            serials.add(_serial(mesh, "users"))
    assert load.failures == []
    assert load.calls > 100
    assert len(serials) == 5


def test_a_callee_whose_certificate_has_expired_is_not_called(mesh: Rig) -> None:
    """Envoys refuse an expired certificate on a new connection, and recover when it is replaced."""
    yesterday = datetime.now(UTC) - timedelta(days=2)
    folder, name = mesh.certs("auth"), topology.spiffe_id("auth")
    ca.issue(mesh.authority, folder, ["auth"], name, yesterday)
    mesh.stop("users")
    mesh.start("users")
    time.sleep(0.3)
    with mesh.out("users") as channel:
        assert status(channel, CHECK_SESSION) == S.UNAVAILABLE
        ca.issue(mesh.authority, folder, ["auth"], name)
        until = time.monotonic() + 10
        while status(channel, CHECK_SESSION) != S.OK and time.monotonic() < until:
            time.sleep(0.1)
        assert status(channel, CHECK_SESSION) == S.OK


@pytest.fixture(autouse=True)
def _quiet_handshakes(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    with caplog.at_level(logging.CRITICAL):
        yield
