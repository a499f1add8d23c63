"""istiod decides while calls go on: policies change, certificates are renewed, istiod itself goes away."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import httpx
import psutil
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tulle.users.v1 import users_pb2, users_pb2_grpc

from infra import ca
from infra.istio import control
from infra.istio.control import Place
from infra.istio.limits import POLICY_WITHIN
from infra.local.unit import sidecar_name
from mesh.contract import contract
from mesh.sidecar import inbound_routes
from services import topology
from tests.e2e.doors import Sidecar
from tests.e2e.people import Person, eventually
from tests.e2e.stacks import Stack

REFUSAL = {
    "apiVersion": "security.istio.io/v1",
    "kind": "AuthorizationPolicy",
    "metadata": {"name": "nobody-from-the-edge", "namespace": topology.NAMESPACE},
    "spec": {
        "selector": {"matchLabels": {"app": "users"}},
        "action": "DENY",
        "rules": [{"from": [{"source": {"principals": [topology.spiffe_id("gateway").removeprefix("spiffe://")]}}]}],
    },
}


@asynccontextmanager
async def refusing(place: Place) -> AsyncIterator[None]:
    """While the block runs, a policy refuses the gateway at the sidecar of users."""
    await control.apply(place, json.dumps(REFUSAL))
    try:
        yield
    finally:
        await control.kubectl(place, "delete", "authorizationpolicy", REFUSAL["metadata"]["name"])  # type: ignore[index]


class Asking:
    """A caller with one connection to the sidecar of users."""

    def __init__(self, channel: grpc.aio.Channel, token: str) -> None:
        stub: Any = users_pb2_grpc.UsersServiceStub(channel)
        self._ask: Any = stub.GetProfile
        self._metadata = (("authorization", f"Bearer {token}"),)

    async def ask(self) -> str:
        """The name of the status of a call."""
        try:
            await self._ask(users_pb2.GetProfileRequest(), metadata=self._metadata, timeout=5)
        except grpc.aio.AioRpcError as error:
            return str(error.code().name)
        return "OK"

    async def until(self, wanted: str) -> float:
        """Seconds until calls come to `wanted`, and to that alone for a while."""
        began = time.monotonic()
        while await self.ask() != wanted:
            assert time.monotonic() - began < 2 * POLICY_WITHIN, f"no {wanted}"
            await asyncio.sleep(0.02)
        took = time.monotonic() - began
        assert {await self.ask() for _ in range(10)} == {wanted}
        return took


async def test_a_policy_is_in_force_on_open_connections(
    place: Place, sidecars: dict[str, Sidecar], certificates: Path, somebody: Person, tell: Callable[[str], None]
) -> None:
    """A policy changed with kubectl holds within POLICY_WITHIN for who is connected, busy or idle; so does its end."""
    busy, idle = (sidecars["users"].channel(certificates / "gateway") for _ in range(2))
    async with busy, idle:
        asking, resting = Asking(busy, somebody.token), Asking(idle, somebody.token)
        assert [await asking.ask(), await resting.ask()] == ["OK", "OK"]
        async with refusing(place):
            refused = await asking.until("PERMISSION_DENIED")
            await asyncio.sleep(max(0.0, POLICY_WITHIN - refused))
            assert await resting.ask() == "PERMISSION_DENIED"
        allowed = await asking.until("OK")
    tell(f"istio: a policy is in force on a busy connection after {refused:.2f} s, its end after {allowed:.2f} s")
    assert max(refused, allowed) < POLICY_WITHIN


async def test_calls_of_others_do_not_notice(
    place: Place, sidecars: dict[str, Sidecar], certificates: Path, somebody: Person
) -> None:
    """While a policy changes, unary calls that it does not concern all succeed, on the connections that are drained."""
    async with sidecars["users"].channel(certificates / "operator") as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        statuses = await _meanwhile(lambda: _status(stub), lambda: _twice(place))
    assert set(statuses) == {"OK"}
    assert len(statuses) > 100


async def _twice(place: Place) -> None:
    async with refusing(place):
        await asyncio.sleep(POLICY_WITHIN)
    await asyncio.sleep(POLICY_WITHIN)


async def test_a_long_stream_is_cut(place: Place, sidecars: dict[str, Sidecar], certificates: Path) -> None:
    """A stream that outlives the drain after a change of policy ends with UNAVAILABLE: its caller begins anew."""
    async with sidecars["users"].channel(certificates / "operator") as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        watching = stub.Watch(health_pb2.HealthCheckRequest())
        await watching.read()
        async with refusing(place):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await asyncio.wait_for(watching.read(), POLICY_WITHIN + 1)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        assert await _status(stub) == "OK"


async def test_a_renewed_certificate_costs_no_call(
    stack: Stack, place: Place, sidecars: dict[str, Sidecar], certificates: Path
) -> None:
    """A sidecar shows a renewed certificate to who connects, and no call fails meanwhile."""
    authority = ca.open_authority(certificates)

    async def renew() -> None:
        before = await _shown(stack, certificates)
        ca.issue(authority, certificates / "users", ("users",), topology.spiffe_id("users"))

        async def other() -> bool:
            return await _shown(stack, certificates) != before

        await eventually(other)

    async def call() -> str:
        async with sidecars["users"].channel(certificates / "operator") as channel:
            return await _status(health_pb2_grpc.HealthStub(channel))

    assert set(await _meanwhile(call, renew)) == {"OK"}


async def _shown(stack: Stack, certificates: Path) -> bytes:
    """The certificate that the sidecar of users shows."""
    import ssl

    own = certificates / "operator"
    context = ssl.create_default_context(cafile=str(own / "ca.pem"))
    context.check_hostname = False
    context.load_cert_chain(own / "cert.pem", own / "key.pem")
    _, writer = await asyncio.open_connection("127.0.0.1", stack.layout.ports["users"], ssl=context)
    shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    return bytes(shown)


async def test_without_istiod_the_mesh_goes_on(stack: Stack, somebody: Person) -> None:
    """With istiod and the API server gone, sidecars keep the last policies; both come back by themselves."""
    for name in ("istiod", control.NAME, "etcd"):
        stack.kill(name)
    assert (await somebody.rest.get("/v1/users/me", headers=somebody.bearer)).status_code == 200
    await stack.ready()
    assert (await somebody.rest.get("/v1/users/me", headers=somebody.bearer)).status_code == 200


async def test_a_sidecar_comes_back_with_its_policies(
    stack: Stack, sidecars: dict[str, Sidecar], certificates: Path
) -> None:
    """A sidecar that died takes calls again only when istiod has told it who may call."""
    stack.kill(sidecar_name("auth"))
    async with sidecars["auth"].channel(certificates / "auth") as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)

        async def answers() -> str:
            status = await _status(stub)
            return "" if status == "UNAVAILABLE" else status

        assert await eventually(answers) == "PERMISSION_DENIED"


async def test_each_method_has_its_time_at_the_callee(stack: Stack) -> None:
    """What istiod pushed to a sidecar has the routes of a static one: each method, its time, whose address counts."""
    port = stack.layout.ports["users"]
    transport = httpx.AsyncHTTPTransport(uds=stack.layout.addresses.admin_socket("users"))
    async with httpx.AsyncClient(transport=transport, base_url="http://admin") as admin:
        dump = (await admin.get("/config_dump", params={"resource": "dynamic_listeners"})).json()
    (pushed,) = [host for host in _virtual_hosts(dump) if host["name"] == f"inbound|http|{port}"]
    static = inbound_routes("users", contract(), f"inbound|{port}||")
    assert list(map(_told, pushed["routes"])) == list(map(_told, static))


def _virtual_hosts(config: Any) -> Iterator[dict[str, Any]]:
    """All of them, wherever they are in a configuration."""
    if isinstance(config, dict):
        yield from config.get("virtual_hosts", [])
    for inner in config.values() if isinstance(config, dict) else config if isinstance(config, list) else ():
        yield from _virtual_hosts(inner)


def _told(route: dict[str, Any]) -> tuple[object, ...]:
    """A route, whoever wrote it."""
    seconds = float(route["route"]["timeout"].removesuffix("s"))
    return route["match"], route["route"]["cluster"], seconds, route.get("request_headers_to_remove")


def test_the_control_plane_has_no_other_doors(stack: Stack) -> None:
    """Over TCP it listens on the ports of the layout alone, on loopback; etcd and the certificates only on sockets."""
    names = ("etcd", "sds", control.NAME, "istiod")
    open_at = {
        (name, connection.laddr)
        for name in names
        for connection in psutil.Process(stack.process(name)["pid"]).net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    }
    ports = stack.layout.ports
    istiod = {("istiod", ("127.0.0.1", ports[port])) for port in ("istiod", "istiod-http", "istiod-monitoring")}
    assert open_at == {(control.NAME, ("127.0.0.1", ports[control.NAME]))} | istiod


async def test_a_typo_is_refused(place: Place) -> None:
    """The API server takes no object with a field that Istio does not know."""
    spoiled = json.loads(json.dumps(REFUSAL))
    spoiled["spec"]["rules"][0]["from"][0]["source"] = {"principalz": ["tulle.local/ns/tulle/sa/gateway"]}
    with pytest.raises(control.Refused, match="principalz"):
        await control.apply(place, json.dumps(spoiled))


async def _status(stub: Any) -> str:
    try:
        await stub.Check(health_pb2.HealthCheckRequest(), timeout=5)
    except grpc.aio.AioRpcError as error:
        return str(error.code().name)
    return "OK"


async def _meanwhile(call: Callable[[], Awaitable[str]], event: Callable[[], Coroutine[Any, Any, None]]) -> list[str]:
    """What calls come to, one after the other, before, while and after something happens."""
    happening = asyncio.create_task(event())
    came = [await call()]
    while not happening.done():
        came.append(await call())
        await asyncio.sleep(0.01)
    await happening
    return [*came, await call()]
