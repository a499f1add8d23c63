"""What istiod pushed to the gateway, beside what a static gateway has: both as Envoy itself tells them."""

from __future__ import annotations

import copy
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from infra import envoys
from infra.local.layout import Layout
from mesh.contract import contract
from mesh.envoy import Addresses
from services import topology
from services.topology import GATEWAY
from tests import rbac
from tests.e2e.stacks import PATIENCE, Stack
from tests.servers import free_port

ISTIO_ADDS = {
    "http_protocol_options": "empty: nothing but Envoy's defaults",
    "request_id_extension": "Envoy's default, written out",
    "upgrade_configs": "websocket, which the strict check refuses",
    "set_current_client_cert_details": "of a client certificate, for which nobody is asked",
}
DIFFERS = {
    "forward_client_cert_details": "SANITIZE_SET is SANITIZE where nobody shows a certificate",
    "stat_prefix": "a name in statistics",
    "rds": "where routes come from; they are compared",
    "http_filters": "compared one by one",
}


@dataclass(frozen=True)
class Edge:
    """A gateway as its admin interface tells: the listener with TLS, what speaks HTTP on it, its routes."""

    listener: Mapping[str, Any]
    manager: Mapping[str, Any]
    routes: Mapping[str, Any]

    @property
    def filters(self) -> Mapping[str, Any]:
        return {one["name"]: one["typed_config"] for one in self.manager["http_filters"]}

    @property
    def chain(self) -> Mapping[str, Any]:
        (chain,) = self.listener["filter_chains"]
        return dict(chain)

    @property
    def host(self) -> Mapping[str, Any]:
        (host,) = self.routes["virtual_hosts"]
        return dict(host)


@pytest.fixture(scope="module")
def pushed(stack: Stack) -> Edge:
    """The gateway of the stack."""
    return told(stack.layout.addresses)


@pytest.fixture(scope="module")
def static(stack: Stack) -> Iterator[Edge]:
    """A gateway with the same settings that has them from files."""
    with twin(stack.layout) as addresses:
        yield told(addresses)


@contextmanager
def twin(layout: Layout) -> Iterator[Addresses]:
    """A static gateway beside that of the stack, on ports of its own."""
    with tempfile.TemporaryDirectory() as folder:
        own = replace(layout.addresses, run_dir=folder, envoy_dir=folder, http_port=free_port(), https_port=free_port())
        for path, text in envoys.files(GATEWAY, contract(), own).items():
            Path(path).write_text(text)
        process = subprocess.Popen(envoys.command(GATEWAY, own))
        try:
            _until_ready(own)
            yield own
        finally:
            process.kill()
            process.wait()


def _until_ready(addresses: Addresses) -> None:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        try:
            if _ask(addresses, "/ready").status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    raise AssertionError("the static gateway does not become ready")


def _ask(addresses: Addresses, path: str) -> httpx.Response:
    transport = httpx.HTTPTransport(uds=addresses.admin_socket(GATEWAY))
    with httpx.Client(transport=transport, base_url="http://admin") as admin:
        return admin.get(path)


def told(addresses: Addresses) -> Edge:
    """What a gateway says of its TLS port."""
    dump = _ask(addresses, "/config_dump").json()
    secure = next(one for one in _having(dump, "filter_chains") if _port(one) == addresses.https_port)
    (manager,) = secure["filter_chains"][0]["filters"]
    config = manager["typed_config"]
    table = config["rds"]["route_config_name"]
    return Edge(secure, config, next(one for one in _having(dump, "virtual_hosts") if one["name"] == table))


def _port(listener: Mapping[str, Any]) -> int:
    return int(listener["address"]["socket_address"]["port_value"])


def _having(config: Any, key: str) -> Iterator[dict[str, Any]]:
    """All objects with `key`, wherever they are in a configuration."""
    if isinstance(config, dict) and key in config:
        yield config
    for inner in config.values() if isinstance(config, dict) else config if isinstance(config, list) else ():
        yield from _having(inner, key)


def test_filters_are_the_same_in_the_same_order(pushed: Edge, static: Edge) -> None:
    """The order, which is policy, is that of the static gateway; Istio has nothing before, between or behind."""
    assert list(pushed.filters) == list(static.filters)


@pytest.mark.parametrize("ours", ["lua", "grpc_json_transcoder", "tulle.limit", "router"])
def test_what_istio_has_no_filter_for_is_the_same(pushed: Edge, static: Edge, ours: str) -> None:
    """The check of strictness, the transcoder, the limits and the router are configured alike."""
    names = [name for name in static.filters if ours in name]
    assert names
    assert {name: pushed.filters[name] for name in names} == {name: static.filters[name] for name in names}


def test_tokens_are_known_by_the_same_rules(pushed: Edge, static: Edge) -> None:
    """Issuer, audience, life, leeway, where a token stands and what methods ask for: all but the keys' cluster."""
    name = "envoy.filters.http.jwt_authn"
    ours = copy.deepcopy(pushed.filters[name])
    uri = ours["providers"]["auth"]["remote_jwks"]["http_uri"]
    assert uri["cluster"] == f"outbound|{topology.PORT}||{topology.host('auth')}"
    uri["cluster"] = "auth"
    assert ours == static.filters[name]


def test_who_may_call_is_the_same(pushed: Edge, static: Edge) -> None:
    """Istio's policy and the static one let in the same: nobody, people by their roles, keys by their scopes."""
    ours, theirs = (edge.filters["envoy.filters.http.rbac"]["rules"] for edge in (pushed, static))
    methods = [method.path for method in contract().methods]
    for claims in ({}, *_tokens()):
        assert [rbac.lets_in(ours, path, claims) for path in methods] == [
            rbac.lets_in(theirs, path, claims) for path in methods
        ], claims


def _tokens() -> Iterator[dict[str, Any]]:
    """What tokens say: each role, without scopes and with each of them."""
    roles = sorted({role for method in contract().methods for role in method.roles} | {"member"})
    for role in roles:
        person = {"iss": "tulle", "sub": "user_1", "roles": [role]}
        yield person
        yield from (person | {"scopes": [scope]} for scope in ("another.read", *sorted(contract().scopes)))


def test_http_is_spoken_by_the_same_rules(pushed: Edge, static: Edge) -> None:
    """Limits, time-outs, paths, headers, refusals, traces and logs: all that is not listed above with its reason."""
    assert _rest(pushed.manager) == _rest(static.manager)
    assert set(pushed.manager) - set(static.manager) <= set(ISTIO_ADDS) | set(DIFFERS)


def _rest(manager: Mapping[str, Any]) -> Mapping[str, Any]:
    return {key: value for key, value in manager.items() if key not in ISTIO_ADDS | DIFFERS}


def test_each_method_has_the_same_route(pushed: Edge, static: Edge) -> None:
    """Paths, time, retries, limits, whether tokens are looked at, caching: route by route, in the same order."""
    ours, theirs = pushed.host["routes"], static.host["routes"]
    assert [_route(one) for one in ours] == [_route(one) for one in theirs]


def _route(route: Mapping[str, Any]) -> Mapping[str, Any]:
    """What it does, in whosever words."""
    retry = route["route"].get("retry_policy", {})
    return {
        "name": route["name"],
        "path": route["match"].get("path", route["match"].get("prefix")),
        "owner": route["route"]["cluster"].removeprefix(f"outbound|{topology.PORT}||").partition(".")[0],
        "time": float(route["route"].get("timeout", "0s").removesuffix("s")),
        "retries": (retry.get("num_retries"), set(filter(None, retry.get("retry_on", "").split(",")))),
        "pause": float(retry.get("retry_back_off", {}).get("base_interval", "0s").removesuffix("s")),
        **{key: route.get(key) for key in _SAID},
    }


_SAID = (
    "typed_per_filter_config",
    "request_headers_to_remove",
    "request_headers_to_add",
    "response_headers_to_add",
    "request_body_buffer_limit",
)


def test_all_requests_have_the_same_in_common(pushed: Edge, static: Edge) -> None:
    """The limit of an address, and the headers that are added to and taken from every request and response."""
    added = [key for key in _SAID if key != "typed_per_filter_config"]
    assert pushed.host["typed_per_filter_config"] == static.host["typed_per_filter_config"]
    assert {key: pushed.host.get(key) for key in added} == {key: static.routes.get(key) for key in added}


def test_tls_is_the_same(pushed: Edge, static: Edge) -> None:
    """TLS 1.3, both versions of HTTP, no certificate asked for, a bound on the handshake and on what is held."""
    limits = ("per_connection_buffer_limit_bytes",)
    assert [pushed.listener[key] for key in limits] == [static.listener[key] for key in limits]
    time = "transport_socket_connect_timeout"
    assert pushed.chain[time] == static.chain[time]
    ours, theirs = (one.chain["transport_socket"]["typed_config"] for one in (pushed, static))
    assert not ours.get("require_client_certificate")
    assert ours["common_tls_context"]["alpn_protocols"] == theirs["common_tls_context"]["alpn_protocols"]
    assert ours["common_tls_context"]["tls_params"]["tls_minimum_protocol_version"] == "TLSv1_3"
