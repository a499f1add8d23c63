"""Rate limits at the edge."""

from __future__ import annotations

import collections
import http.client

from gateway.limits import ADDRESS_LIMIT
from tests.integration.envoy.rig import Rig
from tests.integration.envoy.test_edge_rest import refusal


def test_each_address_has_a_bucket_where_there_is_no_user(mesh: Rig) -> None:
    """The bucket of one address, emptied, says when to come back; another address is not touched."""
    with mesh.rest("127.0.1.1") as client:
        answers = [client.post("/v1/auth:signUp", json={}) for _ in range(24)]
    assert [a.status_code for a in answers[:20]] == [200] * 20
    assert refusal(answers[-1]) == (429, 8, "RATE_LIMITED")
    assert answers[-1].headers["retry-after"] == "3"
    assert answers[-1].json()["details"][1] == {
        "@type": "type.googleapis.com/google.rpc.RetryInfo",
        "retryDelay": "3s",
    }
    with mesh.rest("127.0.1.2") as client:
        assert client.post("/v1/auth:signUp", json={}).status_code == 200


def test_both_doors_share_a_bucket(mesh: Rig) -> None:
    """TLS is no way around a limit."""
    with mesh.rest("127.0.1.3") as client:
        assert [client.post("/v1/auth:signUp", json={}).status_code for _ in range(20)] == [200] * 20
    with mesh.rest("127.0.1.3", tls=True) as client:
        assert client.post("/v1/auth:signUp", json={}).status_code == 429


def test_each_user_has_a_bucket_whatever_the_address(mesh: Rig) -> None:
    """A user is counted wherever they come from; another user at the same address is not."""
    token = mesh.token(sub="user_busy")
    for address in ("127.0.1.4", "127.0.1.5"):
        with mesh.rest(address, token=token) as client:
            answers = [client.patch("/v1/users/me", json={}).status_code for _ in range(32)]
    assert answers[-1] == 429
    with mesh.rest("127.0.1.5", token=mesh.token(sub="user_calm")) as client:
        assert client.patch("/v1/users/me", json={}).status_code == 200


def test_methods_do_not_share_buckets(mesh: Rig) -> None:
    """Having used one method up, a user may still call another."""
    with mesh.rest("127.0.1.6", token=mesh.token(sub="user_varied")) as client:
        while client.patch("/v1/users/me", json={}).status_code == 200:
            pass
        assert client.get("/v1/users/me").status_code == 200


def test_an_address_without_any_token_is_limited_before_tokens_are_looked_at(mesh: Rig) -> None:
    """A flood of requests without a token ends in 429."""
    connection = http.client.HTTPConnection("127.0.0.1", mesh.addresses.http_port, source_address=("127.0.1.7", 0))
    answers = collections.Counter[int]()
    for _ in range(ADDRESS_LIMIT.requests + 200):
        connection.request("GET", "/v1/users/me")
        with connection.getresponse() as response:
            response.read()
            answers[response.status] += 1
    connection.close()
    assert set(answers) == {401, 429}
