"""Other people's things: each method × whose object it names × who asks × each door, as services' objects.py say."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
import pytest_asyncio
from google.api.httpbody_pb2 import HttpBody
from google.protobuf import json_format, message_factory
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from codegen.fields import behaviors
from codegen.project import Project
from gateway import templates
from gateway.fields import json_name
from mesh.contract import Method, contract, option
from services.objects import OK, Object, nobodys, objects
from services.topology import GATEWAY
from tests.e2e.doors import Edge
from tests.e2e.people import Person
from tests.e2e.routes import Requests, Route
from tests.e2e.stacks import Stack
from tests.e2e.stories import Scene, told

DOORS = ("REST", "gRPC at the edge")
OBJECTS = objects()
NAMES = nobodys() | {"request_id"}
each_object = pytest.mark.parametrize("row", OBJECTS, ids=lambda row: row.method.rpartition("/")[2])


@dataclass(frozen=True)
class Answer:
    """What somebody got: OK and the fields that are there, or the reason of a refusal."""

    outcome: str
    fields: frozenset[str] = frozenset()


Ask = Callable[[Object, str, Person, str], Awaitable[Answer]]


@pytest.fixture
def ask(edge: Edge, project: Project) -> Ask:
    """What comes of a request of a row that names an object, and besides has only what every request must have."""
    return functools.partial(_ask, edge, project)


@pytest_asyncio.fixture(loop_scope="session")
async def scene(stack: Stack) -> AsyncIterator[Scene]:
    made = Scene(stack)
    yield made
    await made.close()


@each_object
@pytest.mark.parametrize("door", DOORS)
async def test_another_gets_what_the_table_says(scene: Scene, ask: Ask, row: Object, door: str) -> None:
    """A person of another organisation is refused, or sees the public part, and changes nothing."""
    owner, other = await scene.somebody(), await scene.somebody()
    answer = await ask(row, named := await own(row, owner), other, door)
    assert answer.outcome == row.others
    assert not row.shown or answer.fields <= row.shown
    assert (await owner.rest.get("/v1/users/me", headers=owner.bearer)).status_code == 200
    listed = await owner.rest.get("/v1/auth/sessions", headers=owner.bearer)
    assert [one["sessionId"] for one in listed.json()["sessions"]] == [owner.tokens["sessionId"]]
    if not contract().method(row.method).roles:
        assert (await ask(row, named, owner, door)).outcome == OK


@each_object
@pytest.mark.parametrize("door", DOORS)
async def test_an_administrator_gets_what_the_table_says(scene: Scene, ask: Ask, row: Object, door: str) -> None:
    """An administrator may do more to another's object only where the table says so."""
    owner, administrator = await scene.administrator(), await scene.administrator()
    answer = await ask(row, await own(row, owner), administrator, door)
    assert answer.outcome == row.administrators
    assert not row.shown or answer.fields <= row.shown


@each_object
@pytest.mark.parametrize("door", DOORS)
async def test_an_owner_gets_their_own(scene: Scene, ask: Ask, row: Object, door: str) -> None:
    """The same request about one's own object is granted, and shows all of it."""
    owner = await (scene.administrator() if contract().method(row.method).roles else scene.somebody())
    answer = await ask(row, await own(row, owner), owner, door)
    assert answer.outcome == OK
    assert not row.shown or answer.fields > row.shown


@each_object
async def test_an_object_that_is_not_there_is_like_another_s(scene: Scene, ask: Ask, row: Object) -> None:
    """Where others are refused an object, they are not told whether it exists."""
    if row.others != OK:
        stranger = await scene.somebody()
        nothing = (await own(row, stranger))[:-4] + "0000"
        assert (await ask(row, nothing, stranger, DOORS[0])).outcome == row.others


def test_no_object_is_forgotten() -> None:
    """Each id in a request that the gateway lets in has a row."""
    outer = [method for method in contract().methods if GATEWAY in method.callers]
    named = {(method.path, name) for method in outer for name in _ids(method)}
    rows = {(row.method, row.field) for row in OBJECTS}
    assert named == rows, f"add to services/NAME/objects.py: {named - rows}; take away: {rows - named}"


def _ids(method: Method) -> list[str]:
    """The fields that name somebody's object; `request_id` names the request itself (AIP-155)."""
    message = contract().pool.FindMessageTypeByName(method.input)
    return [f.name for f in message.fields if f.name.endswith(("_id", "_ids")) and f.name not in NAMES]


async def own(row: Object, person: Person) -> str:
    """The id of an object of that kind that is the person's."""
    owned = {kind: story for stories in told().values() for kind, story in stories.owned.items()}
    return await owned[row.kind](person)


async def _ask(edge: Edge, project: Project, row: Object, named: str, person: Person, door: str) -> Answer:
    method = contract().method(row.method)
    rule = next((rule for rule in method.http if row.field in templates.variables(rule.path)), method.http[0])
    requests = Requests(project, Route(method, rule))
    one = requests.message.fields_by_name[row.field]
    needed = [json_name(f) for f in requests.message.fields if _needed(project, f)]
    requests.whole = {name: requests.whole[name] for name in needed if name in requests.whole}
    requests.whole[json_name(one)] = [named] if one.is_repeated else named
    if door == DOORS[0]:
        return await _over_rest(requests, one, person)
    return await _over_grpc(edge, method, json_format.ParseDict(requests.whole, _new(method.input)), person)


def _needed(project: Project, one: FieldDescriptor) -> bool:
    """Whether a request must have it, or one of those with which it shares a oneof."""
    oneof, pool = one.containing_oneof, project.contract.pool
    rule = option(oneof, "OneofOptions", "buf.validate.oneof", pool) if oneof else None
    return "REQUIRED" in behaviors(project.contract, one) or bool(rule and rule.required)


async def _over_rest(requests: Requests, one: FieldDescriptor, person: Person) -> Answer:
    method, rule = requests.route.method, requests.route.rule
    url = templates.openapi(rule.path).format_map(requests.path)
    query = {json_name(one): requests.whole[json_name(one)]} if one in requests.query_fields else {}
    answer = await person.rest.request(rule.verb, url, params=query, json=requests.body, headers=person.bearer)
    if answer.status_code == 200 and method.output == HttpBody.DESCRIPTOR.full_name:
        return Answer(OK)
    body = answer.json()
    if answer.status_code != 200:
        return Answer(body["details"][0]["reason"])
    message = json_format.ParseDict(body, _new(method.output))
    return Answer(OK, _present(message))


async def _over_grpc(edge: Edge, method: Method, request: Message, person: Person) -> Answer:
    metadata = [("authorization", person.bearer["authorization"])]
    async with edge.grpc() as channel:
        call: Any = channel.unary_unary(method.path)
        try:
            answer = await call(request.SerializeToString(), metadata=metadata, timeout=10)
        except grpc.aio.AioRpcError as error:
            return Answer(_reason(error))
    return Answer(OK, _present(_new(method.output, answer)))


def _reason(error: grpc.aio.AioRpcError) -> str:
    trailers: dict[str, Any] = dict(iter(error.trailing_metadata()))
    info = error_details_pb2.ErrorInfo()
    status_pb2.Status.FromString(trailers["grpc-status-details-bin"]).details[0].Unpack(info)
    return str(info.reason)


def _present(message: Message) -> frozenset[str]:
    return frozenset(field.name for field, _ in message.ListFields())


def _new(name: str, serialized: bytes = b"") -> Message:
    return message_factory.GetMessageClass(contract().pool.FindMessageTypeByName(name)).FromString(serialized)
