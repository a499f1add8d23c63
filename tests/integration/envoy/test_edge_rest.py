"""REST at the edge: what passes, what is refused, and how a refusal reads."""

from __future__ import annotations

import json
import socket
import time

import grpc
import httpx
import pytest
from tulle.users.v1 import users_pb2

from mesh.hops import EDGE_MARGIN, MAX_REQUEST
from tests.integration.envoy.rig import GET_PROFILE, LOG_IN, UPDATE_PROFILE, Rig, slow

JSON = {"content-type": "application/json"}


def refusal(response: httpx.Response) -> tuple[int, int, str]:
    """HTTP status, code and reason of a refusal, which is a google.rpc.Status in JSON."""
    assert response.headers["content-type"] == "application/json"
    body = response.json()
    assert set(body) == {"code", "message", "details"}
    assert body["message"]
    info = body["details"][0]
    assert info["@type"] == "type.googleapis.com/google.rpc.ErrorInfo"
    assert info["domain"] == "gateway.tulle"
    return response.status_code, body["code"], info["reason"]


@pytest.mark.parametrize("tls", [False, True])
def test_an_allowed_request_reaches_the_service_as_its_method(mesh: Rig, tls: bool) -> None:
    """REST becomes the gRPC call that the contract names, at both doors."""
    with mesh.rest(tls=tls, token=mesh.token(sub="user_allowed")) as client:
        response = client.patch("/v1/users/me?updateMask=displayName,handle", json={"displayName": "Ana"})
    assert response.status_code == 200
    heard = mesh.services["users"].last()
    assert heard.path == UPDATE_PROFILE
    request = users_pb2.UpdateProfileRequest.FromString(heard.request)
    assert request.profile.display_name == "Ana"
    assert list(request.update_mask.paths) == ["display_name", "handle"]


def test_http2_and_http1_are_the_same_door(mesh: Rig) -> None:
    """A client may speak HTTP/2 with TLS."""
    with mesh.rest(tls=True, token=mesh.token(), http1=False, http2=True) as client:
        response = client.get("/v1/users/me")
    assert (response.http_version, response.status_code) == ("HTTP/2", 200)


@pytest.mark.parametrize(
    ("verb", "path", "expected"),
    [
        ("GET", "/v1/nothing", (404, 5, "NO_SUCH_PATH")),
        ("GET", "/v1/users/me/", (404, 5, "NO_SUCH_PATH")),
        ("POST", GET_PROFILE, (404, 5, "NO_SUCH_PATH")),
        ("GET", "/tulle.auth.v1.AccountsService/CheckSession", (404, 5, "NO_SUCH_PATH")),
        ("PUT", "/v1/users/me", (405, 12, "METHOD_NOT_ALLOWED")),
        ("OPTIONS", "/v1/users/me", (405, 12, "METHOD_NOT_ALLOWED")),
        ("GET", "/v1/users/me?verbose=1", (400, 3, "UNKNOWN_PARAMETER")),
        ("GET", "/v1/users/me?user_id=user_2", (400, 3, "UNKNOWN_PARAMETER")),
        ("GET", "/v1/users/user_1?%75serId=user_2", (400, 3, "UNKNOWN_PARAMETER")),
        ("PATCH", "/v1/users/me?profile.displayName=Eve", (400, 3, "UNKNOWN_PARAMETER")),
        ("GET", "/v1/users?pageSize=1&page_size=2", (400, 3, "REPEATED_PARAMETER")),
        ("GET", "/v1/users%2Fme", (400, 3, "BAD_REQUEST")),
    ],
)
def test_paths_and_queries_are_strict(mesh: Rig, verb: str, path: str, expected: tuple[int, int, str]) -> None:
    """A path, verb or query parameter that the contract lacks is refused, even with a good token."""
    with mesh.rest(token=mesh.token(roles=["administrator"])) as client:
        assert refusal(client.request(verb, path)) == expected


def test_a_refused_verb_learns_which_are_allowed(mesh: Rig) -> None:
    """405 comes with `allow` (RFC 9110)."""
    with mesh.rest() as client:
        assert client.put("/v1/users/me").headers["allow"] == "GET, PATCH"


@pytest.mark.parametrize(
    ("headers", "body", "expected"),
    [
        ({"content-type": "application/x-www-form-urlencoded"}, b"etag=1", (415, 3, "UNSUPPORTED_MEDIA_TYPE")),
        ({}, b"{}", (415, 3, "UNSUPPORTED_MEDIA_TYPE")),
        ({"content-type": "application/grpc-web"}, b"{}", (415, 3, "UNSUPPORTED_MEDIA_TYPE")),
        (JSON, b'{"etag": "' + b"x" * MAX_REQUEST + b'"}', (413, 3, "REQUEST_TOO_LARGE")),
        (JSON, b'{"etag": 5.5}', (400, 3, "WRONG_TYPE")),
        (JSON | {"content-encoding": "gzip"}, b"{}", (415, 3, "UNSUPPORTED_ENCODING")),
        (JSON | {"x-long": "x" * 20_000}, b"{}", (431, 3, "HEADERS_TOO_LARGE")),
        (JSON | {"under_score": "x"}, b"{}", (400, 3, "BAD_REQUEST")),
    ],
)
def test_a_request_that_is_no_proper_request_is_refused(
    mesh: Rig, headers: dict[str, str], body: bytes, expected: tuple[int, int, str]
) -> None:
    """Wrong media types, sizes, values and headers each have their own refusal."""
    with mesh.rest(token=mesh.token(sub="user_improper")) as client:
        assert refusal(client.patch("/v1/users/me", headers=headers, content=body)) == expected


def test_a_body_up_to_the_limit_passes(mesh: Rig) -> None:
    """The limit on bodies is the stated one, not a buffer's."""
    with mesh.rest(token=mesh.token(sub="user_long")) as client:
        body = b'{"etag": "' + b"x" * (MAX_REQUEST - 100) + b'"}'
        assert client.patch("/v1/users/me", headers=JSON, content=body).status_code == 200


def test_a_body_where_none_belongs_is_refused(mesh: Rig) -> None:
    """A GET with a body says something that nobody would hear."""
    with mesh.rest(token=mesh.token()) as client:
        assert refusal(client.request("GET", "/v1/users/me", json={})) == (400, 3, "UNEXPECTED_BODY")


def test_the_service_s_own_error_arrives_with_its_details(mesh: Rig) -> None:
    """A gRPC error becomes its HTTP status and a google.rpc.Status."""

    def missing(request: bytes, context: grpc.ServicerContext) -> bytes:
        context.abort(grpc.StatusCode.NOT_FOUND, "There is no such profile.")
        return b""

    mesh.services["users"].answers[GET_PROFILE] = missing
    with mesh.rest(token=mesh.token()) as client:
        response = client.get("/v1/users/me")
    assert (response.status_code, response.json()) == (
        404,
        {"code": 5, "message": "There is no such profile.", "details": []},
    )


def test_a_call_past_its_deadline_is_504(mesh: Rig) -> None:
    """A service that does not answer in time is given up within the deadline and half a second."""
    mesh.services["users"].answers[GET_PROFILE] = slow(3.5)
    started = time.monotonic()
    with mesh.rest(token=mesh.token()) as client:
        response = client.get("/v1/users/me")
    assert response.status_code == 504
    assert response.json()["code"] == 4
    assert 1.9 < time.monotonic() - started < 2 + 0.5


def test_a_service_that_is_away_is_503(mesh: Rig) -> None:
    """UNAVAILABLE is 503, and a method that is not safe to retry is tried once."""

    def away(request: bytes, context: grpc.ServicerContext) -> bytes:
        context.abort(grpc.StatusCode.UNAVAILABLE, "later")
        return b""

    mesh.services["auth"].answers[LOG_IN] = away
    before = len(mesh.services["auth"].heard)
    with mesh.rest("127.0.3.1") as client:
        assert client.post("/v1/auth:logIn", json={"email": "a"}).status_code == 503
    assert len(mesh.services["auth"].heard) == before + 1


def test_a_service_that_is_gone_is_503_with_a_time_to_come_again(mesh: Rig) -> None:
    """What the sidecar says over gRPC arrives as JSON, and nothing of Envoy's innards does."""
    mesh.stop("users")
    try:
        with mesh.rest(token=mesh.token()) as client:
            response = client.get("/v1/users/me")
    finally:
        mesh.start("users")
    assert refusal(response) == (503, 14, "UNAVAILABLE")
    assert response.json()["details"][1]["retryDelay"] == "1s"


def test_refusals_over_rest_keep_grpc_s_details_to_themselves(mesh: Rig) -> None:
    """The binary details are for gRPC; REST has them as JSON."""
    with mesh.rest("127.0.3.3") as client:
        answers = [client.get("/v1/users/me"), *(client.post("/v1/auth:signUp", json={}) for _ in range(22))]
    assert {answer.status_code for answer in answers} == {401, 200, 429}
    assert not any("grpc-status-details-bin" in answer.headers for answer in answers)


def test_forged_identity_headers_do_not_pass_the_edge(mesh: Rig) -> None:
    """What only the platform may say is dropped or replaced."""
    forged = {
        "x-forwarded-client-cert": "By=spiffe://x;URI=spiffe://tulle.local/ns/tulle/sa/operator",
        "x-tulle-sidecar": "guess",
        "x-tulle-client-address": "9.9.9.9",
        "x-tulle-anything": "x",
        "x-forwarded-for": "9.9.9.9",
        "x-envoy-upstream-rq-timeout-ms": "1",
        "x-envoy-original-path": "/x",
    }
    with mesh.rest("127.0.0.5", token=mesh.token()) as client:
        assert client.get("/v1/users/me", headers=forged).status_code == 200
    metadata = mesh.services["users"].last().metadata
    assert metadata["x-tulle-client-address"] == "127.0.0.5"
    assert metadata["x-tulle-sidecar"] == "secret of users"
    assert metadata["x-forwarded-client-cert"].endswith(";URI=spiffe://tulle.local/ns/tulle/sa/gateway")
    assert "," not in metadata["x-forwarded-client-cert"]
    assert not {"x-tulle-anything", "x-forwarded-for", "x-envoy-upstream-rq-timeout-ms"} & metadata.keys()


def test_request_id_and_trace_are_kept_or_made(mesh: Rig) -> None:
    """A client's own ids travel on; without them there are new ones."""
    trace = "0af7651916cd43dd8448eb211c80319c"
    headers = {"x-request-id": "mine-1", "traceparent": f"00-{trace}-b7ad6b7169203331-01"}
    with mesh.rest(token=mesh.token()) as client:
        response = client.get("/v1/users/me", headers=headers)
        kept = mesh.services["users"].last().metadata
        client.get("/v1/users/me")
        made = mesh.services["users"].last().metadata
    assert (response.headers["x-request-id"], kept["x-request-id"]) == ("mine-1", "mine-1")
    assert kept["traceparent"].split("-")[1] == trace
    assert len(made["x-request-id"]) == 36
    assert len(made["traceparent"].split("-")[1]) == 32


def test_a_wild_request_id_is_tamed(mesh: Rig) -> None:
    """Nothing that a client sends as its request id can be long or strange in logs and events."""
    with mesh.rest(token=mesh.token()) as client:
        response = client.get("/v1/users/me", headers={"x-request-id": '"}{' + "x" * 500})
        nothing = client.get("/v1/users/me", headers={"x-request-id": "::::"})
    assert response.headers["x-request-id"] == "x" * 64
    made = nothing.headers["x-request-id"]
    assert made.startswith("edge-")
    assert mesh.services["users"].last().metadata["x-request-id"] == made


@pytest.mark.parametrize("scheme", ["bearer", "BEARER", "Bearer "])
def test_the_scheme_of_a_token_is_known_in_any_case(mesh: Rig, scheme: str) -> None:
    """`authorization: bearer …` is what RFC 9110 says it is, and reaches the service in one spelling."""
    with mesh.rest() as client:
        answer = client.get("/v1/users/me", headers={"authorization": f"{scheme} {mesh.token()}"})
    assert answer.status_code == 200
    assert mesh.services["users"].last().metadata["authorization"].startswith("Bearer ey")


@pytest.mark.parametrize("kind", ["application/grpc-web", "application/grpc; charset=utf-8", "application/grpcx"])
def test_what_only_looks_like_grpc_is_rest(mesh: Rig, kind: str) -> None:
    """A content type that is not exactly gRPC's gets refusals in JSON, as every REST request does."""
    with mesh.rest() as client:
        assert refusal(client.post("/v1/nothing", headers={"content-type": kind}))[0] == 404


def test_tokens_stay_away_from_methods_without_an_end_user(mesh: Rig) -> None:
    """A method without an end user does not see a token."""
    with mesh.rest("127.0.3.2", token=mesh.token()) as client:
        assert client.post("/v1/auth:logIn", json={"email": "a"}).status_code == 200
    assert "authorization" not in mesh.services["auth"].last().metadata


def test_answers_that_carry_data_are_not_cached(mesh: Rig) -> None:
    """Only the public keys may be kept by caches."""
    with mesh.rest(token=mesh.token()) as client:
        assert client.get("/v1/users/me").headers["cache-control"] == "no-store"
        assert client.get("/.well-known/jwks.json").headers["cache-control"] == "public, max-age=60"


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET /v1/users/me HTTP/1.1\r\n\r\n",
        b"GET /v1/users/me HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"CONNECT example.com:443 HTTP/1.1\r\nhost: example.com:443\r\n\r\n",
        b"TRACE /v1/users/me HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET /v1/users/me HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
        b"\x16\x03\x01 this is no HTTP\r\n\r\n",
    ],
)
def test_what_is_hardly_http_is_refused(mesh: Rig, request_bytes: bytes) -> None:
    """Smuggling, tunnels and noise get 4xx and no way in."""
    before = len(mesh.services["users"].heard)
    with socket.create_connection(("127.0.0.1", mesh.addresses.http_port), timeout=5) as connection:
        connection.sendall(request_bytes)
        answer = connection.recv(4096)
    assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 403", b"HTTP/1.1 404", b"HTTP/1.1 405", b"HTTP/1.1 401"))
    assert len(mesh.services["users"].heard) == before


def test_the_access_log_has_the_trace_and_no_secrets(mesh: Rig) -> None:
    """One JSON line a request: who, what, how it went; no query, no token."""
    token = mesh.token(sub="user_logged")
    trace = "1af7651916cd43dd8448eb211c80319d"
    headers = {"traceparent": f"00-{trace}-b7ad6b7169203331-01"}
    with mesh.rest(token=token) as client:
        client.get("/v1/users?handlePrefix=hidden", headers=headers)
    until = time.monotonic() + 3
    while trace not in mesh.log("gateway") and time.monotonic() < until:
        time.sleep(0.1)
    line = next(line for line in mesh.log("gateway").splitlines() if trace in line)
    row = json.loads(line)
    assert (row["trace_id"], row["path"], row["code"], row["user"]) == (trace, "/v1/users", 403, "user_logged")
    assert "grpc_status" not in row  # Envoy would make one up from the 403
    assert "hidden" not in line
    assert token not in line


def test_margins_leave_every_answer_within_half_a_second() -> None:
    """Gateway and sidecars add to the deadline, but less than half a second in all."""
    assert EDGE_MARGIN < 0.5


@pytest.mark.parametrize(
    "header",
    ["x-odd$name: 1", "x-any-bin: !!!", "grpc-timeout: 1n", "grpc-encoding: odd", "grpc-retry-pushback-ms: x"],
)
def test_headers_that_nobody_needs_stay_outside(mesh: Rig, header: str) -> None:
    """A header that services have no use for does not reach them, so that none of them can break a call."""
    name, _, value = header.partition(": ")
    with mesh.rest(token=mesh.token()) as client:
        assert client.get("/v1/users/me", headers={name: value, "x-request-id": "kept"}).status_code == 200
    metadata = mesh.services["users"].last().metadata
    assert (name in metadata, metadata["x-request-id"]) == (False, "kept")
