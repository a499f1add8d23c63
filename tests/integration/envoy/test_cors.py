"""Pages of other origins at the edge: those that are listed may call, and can read what they are told."""

from __future__ import annotations

import httpx
import pytest

from infra.settings import StackSettings
from tests.integration.envoy.rig import APP, Rig

ALLOWED = "access-control-allow-origin"


def preflight(mesh: Rig, origin: str, verb: str = "PATCH") -> httpx.Response:
    asks = {"origin": origin, "access-control-request-method": verb, "access-control-request-headers": "authorization"}
    with mesh.rest("127.0.3.1") as client:
        return client.options("/v1/users/me", headers=asks)


def test_a_listed_origin_is_told_what_it_may_send(mesh: Rig) -> None:
    """A preflight is answered at the edge, without a token, with the verbs of the contract; cookies are not for it."""
    answer = preflight(mesh, APP)
    assert (answer.status_code, answer.headers[ALLOWED]) == (200, APP)
    assert answer.headers["access-control-allow-methods"].split(",") == ["DELETE", "GET", "PATCH", "POST"]
    assert "authorization" in answer.headers["access-control-allow-headers"]
    assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize(
    "origin", ["https://evil.example.com", "http://app.example.com", f"{APP}.evil.com", f"{APP}:444", "null"]
)
def test_another_origin_is_told_nothing(mesh: Rig, origin: str) -> None:
    """Whatever is not exactly listed gets no header by which a browser would let its page read the answer."""
    assert ALLOWED not in preflight(mesh, origin).headers
    with mesh.rest("127.0.3.2", token=mesh.token()) as client:
        assert ALLOWED not in client.get("/v1/users/me", headers={"origin": origin}).headers


def test_a_page_can_read_answers_and_refusals(mesh: Rig) -> None:
    """An answer, a refusal of the strict check, one of the token and one of the path carry the header alike."""
    with mesh.rest("127.0.3.3") as client:
        good = {"origin": APP, "authorization": f"Bearer {mesh.token()}"}
        for path, headers, status in (
            ("/v1/users/me", good, 200),
            ("/v1/users/me?surprise=1", good, 400),
            ("/v1/users/me", {"origin": APP}, 401),
            ("/v1/nothing", good, 404),
        ):
            answer = client.get(path, headers=headers)
            assert (answer.status_code, answer.headers.get(ALLOWED)) == (status, APP), path
            assert "x-request-id" in answer.headers["access-control-expose-headers"]


def test_options_is_no_way_around(mesh: Rig) -> None:
    """An OPTIONS request that is no preflight is refused like any verb that the path does not have."""
    with mesh.rest("127.0.3.4") as client:
        assert client.options("/v1/users/me").status_code == 405


@pytest.mark.parametrize("origins", ["*", "https://*.example.com", "app.example.com", "https://a.example.com/path"])
def test_an_origin_is_exact(monkeypatch: pytest.MonkeyPatch, origins: str) -> None:
    """A wildcard, a path or a bare host name as an origin is refused before anything starts."""
    monkeypatch.setenv("TULLE_CORS_ORIGINS", origins)
    with pytest.raises(ValueError, match="cors_origins"):
        StackSettings()


def test_origins_stand_between_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several origins are written with commas between; nothing written is none."""
    monkeypatch.setenv("TULLE_CORS_ORIGINS", f"{APP}, http://localhost:3000")
    assert StackSettings().cors_origins == (APP, "http://localhost:3000")
    monkeypatch.setenv("TULLE_CORS_ORIGINS", "")
    assert StackSettings().cors_origins == ()
