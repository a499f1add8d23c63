"""Every error that the contract declares is one that the running system gives, in the form that the page promises."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
import pytest_asyncio
from google.rpc import error_details_pb2, status_pb2

from codegen.openapi.errors import HTTP
from codegen.project import STATUSES, known_errors
from mesh.contract import Method, contract
from mesh.errors import CODES
from services.topology import SERVICES
from tests.e2e.doors import Sidecar
from tests.e2e.stacks import Stack
from tests.e2e.stories import Scene, Stories, file_of, told

ERRORS = known_errors(Path(__file__).parents[2])
ALONE = ("LAST_ADMINISTRATOR",)
"""What only a stack of one's own can be brought to."""
DECLARED = [(method, reason) for method in contract().methods for reason in sorted(method.reasons)]
OUTER = [(method, reason) for method, reason in DECLARED if method.http]
INNER = [(method, reason) for method, reason in DECLARED if not method.http]


@pytest_asyncio.fixture(loop_scope="session")
async def scene(stack: Stack) -> AsyncIterator[Scene]:
    made = Scene(stack)
    yield made
    await made.close()


@pytest_asyncio.fixture(loop_scope="session")
async def own_scene(own_stack: Stack) -> AsyncIterator[Scene]:
    made = Scene(own_stack)
    yield made
    await made.close()


def named(pairs: list[tuple[Method, str]]) -> list[str]:
    return [f"{method.name}-{reason}" for method, reason in pairs]


def domain(method: Method) -> str:
    return contract().services[method.service].domain


def code(method: Method, reason: str) -> int:
    """The google.rpc.Code of a declared reason."""
    return CODES[STATUSES[ERRORS[domain(method)][reason].base]]


@pytest.mark.parametrize("service", [service.name for service in SERVICES])
def test_each_declared_error_has_a_story(service: str) -> None:
    """No reason is declared that no test provokes, and no story is told of an error that is not declared."""
    stories = told().get(service, Stories())
    kept = {*stories.outer, *stories.inner}
    declared = {(method.name, reason) for method, reason in DECLARED if domain(method) == service}
    assert kept == declared, f"tell in {file_of(service)}: {declared - kept}; take away: {kept - declared}"


@pytest.mark.parametrize(
    ("method", "reason"), [p for p in OUTER if p[1] not in ALONE], ids=named([p for p in OUTER if p[1] not in ALONE])
)
async def test_a_declared_error_is_given(scene: Scene, method: Method, reason: str) -> None:
    """Over REST it has the HTTP status of its code, and a google.rpc.Status with its reason and its service's name."""
    check(method, reason, await told()[domain(method)].outer[method.name, reason](scene))


@pytest.mark.parametrize(
    ("method", "reason"), [p for p in OUTER if p[1] in ALONE], ids=named([p for p in OUTER if p[1] in ALONE])
)
async def test_a_declared_error_of_an_untouched_stack_is_given(own_scene: Scene, method: Method, reason: str) -> None:
    """The same, of what depends on everybody who is there."""
    check(method, reason, await told()[domain(method)].outer[method.name, reason](own_scene))


def check(method: Method, reason: str, answer: httpx.Response) -> None:
    body = answer.json()
    assert (answer.status_code, body.get("code")) == (HTTP[code(method, reason)], code(method, reason)), answer.text
    info = {"reason": reason, "domain": f"{domain(method)}.tulle", "metadata": {}}
    assert body["details"][0] == {"@type": "type.googleapis.com/google.rpc.ErrorInfo", **info}
    assert set(body) == {"code", "message", "details"}
    assert body["message"]
    assert answer.headers["content-type"] == "application/json"
    assert "grpc-status-details-bin" not in answer.headers


@pytest.mark.parametrize(("method", "reason"), INNER, ids=named(INNER))
async def test_a_declared_error_inside_the_mesh_is_given(
    scene: Scene, sidecars: dict[str, Sidecar], certificates: Path, method: Method, reason: str
) -> None:
    """Over gRPC it has the same code, reason and name, in the details."""
    caller, asked = told()[domain(method)].inner[method.name, reason]
    request = await asked(scene)
    async with sidecars[domain(method)].channel(certificates / caller) as channel:
        call: Any = channel.unary_unary(method.path)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call(request.SerializeToString(), timeout=5)
    trailers: dict[str, Any] = dict(iter(refused.value.trailing_metadata()))
    status = status_pb2.Status.FromString(trailers["grpc-status-details-bin"])
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    assert (status.code, info.reason, info.domain) == (code(method, reason), reason, f"{domain(method)}.tulle")
