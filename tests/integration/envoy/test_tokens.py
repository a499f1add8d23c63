"""Access tokens at the edge."""

from __future__ import annotations

import time
from typing import Any

import pytest
from joserfc.jwk import ECKey, OctKey

from mesh.limits import LEEWAY
from tests.integration.envoy.rig import GET_JWKS, LIST_USERS, Rig, call
from tests.integration.envoy.test_edge_rest import refusal

NOW = int(time.time())
OTHER_KEY = ECKey.generate_key("P-256", parameters={"kid": "one"})
SHARED = OctKey.import_key(b"a secret of thirty-two bytes ....", parameters={"kid": "one"})


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": NOW - LEEWAY - 10},
        {"exp": None},
        {"exp": NOW + 100_000},
        {"nbf": NOW + 86_400},
        {"aud": "another"},
        {"aud": None},
        {"iss": "https://elsewhere.test"},
        {"header": {"kid": "two"}},
        {"key": OTHER_KEY},
        {"header": {"alg": "HS256"}, "key": SHARED},
    ],
)
def test_a_bad_token_is_401(mesh: Rig, changes: dict[str, Any]) -> None:
    """Expired, endless, too long, for others, by others: none of them passes."""
    with mesh.rest(token=mesh.token(**changes)) as client:
        assert refusal(client.get("/v1/users/me")) == (401, 16, "UNAUTHENTICATED")


def test_a_token_without_a_signature_is_401(mesh: Rig) -> None:
    """`alg: none` is no algorithm."""
    header = "eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0"
    with mesh.rest(token=f"{header}.{mesh.token().split('.')[1]}.") as client:
        assert refusal(client.get("/v1/users/me"))[0] == 401


def test_a_token_just_expired_is_within_the_leeway(mesh: Rig) -> None:
    """Clocks may differ by the leeway."""
    with mesh.rest(token=mesh.token(exp=int(time.time()) - 1)) as client:
        assert client.get("/v1/users/me").status_code == 200


def test_a_token_in_the_query_is_no_token(mesh: Rig) -> None:
    """Tokens travel in a header only; query strings end up in logs."""
    with mesh.rest() as client:
        assert client.get(f"/v1/users/me?access_token={mesh.token()}").status_code == 400


def test_the_token_travels_on(mesh: Rig) -> None:
    """The services verify the same token themselves."""
    token = mesh.token()
    with mesh.rest(token=token) as client:
        client.get("/v1/users/me")
    assert mesh.services["users"].last().metadata["authorization"] == f"Bearer {token}"


def test_an_administrator_s_method_needs_the_role(mesh: Rig) -> None:
    """Without the role 403, with it the call arrives."""
    with mesh.rest(token=mesh.token(roles=["user"])) as client:
        assert refusal(client.get("/v1/users")) == (403, 7, "DENIED")
    with mesh.rest(token=mesh.token(roles=["user", "administrator"])) as client:
        assert client.get("/v1/users").status_code == 200
    assert mesh.services["users"].last().path == LIST_USERS


def test_while_the_keys_cannot_be_had_nobody_is_told_that_a_token_is_bad(mesh: Rig) -> None:
    """Without keys the answer is 503 and UNAVAILABLE, and once they are there the token is good."""
    mesh.stop("auth")
    mesh.stop("gateway")
    mesh.start("gateway")
    token = mesh.token()
    with mesh.rest(token=token) as client, mesh.edge() as channel:
        assert refusal(client.get("/v1/users/me")) == (503, 14, "UNAVAILABLE")
        with pytest.raises(Exception, match="UNAVAILABLE"):
            call(channel, LIST_USERS, metadata=(("authorization", f"Bearer {token}"),))
        mesh.start("auth")
        until = time.monotonic() + 10
        while client.get("/v1/users/me").status_code != 200 and time.monotonic() < until:
            time.sleep(0.2)
        assert client.get("/v1/users/me").status_code == 200


def test_keys_once_had_outlive_their_source(mesh: Rig) -> None:
    """While auth is away, tokens are still verified with the last keys."""
    mesh.stop("auth")
    try:
        with mesh.rest(token=mesh.token(sub="user_later")) as client:
            assert client.get("/v1/users/me").status_code == 200
    finally:
        mesh.start("auth")


def test_keys_come_from_auth_s_sidecar_by_plain_get_over_mutual_tls(mesh: Rig) -> None:
    """The gateway's own fetch is a call of KeysService like any other, under the same policy."""
    first = next(heard for heard in mesh.services["auth"].heard if heard.path == GET_JWKS)
    assert first.metadata["x-forwarded-client-cert"].endswith(";URI=spiffe://tulle.local/ns/tulle/sa/gateway")
