"""Update masks over REST, for each method that has one: what changes, and nothing else does (AIP-134, AIP-161)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx
import pytest

from codegen import examples
from codegen.project import Project
from gateway.fields import json_name
from mesh.contract import Method, contract
from tests.e2e.people import Person
from tests.e2e.rest import refusal

Json = dict[str, Any]
MASK = "google.protobuf.FieldMask"
MASKED = [
    method
    for method in contract().methods
    for field in contract().pool.FindMessageTypeByName(method.input).fields
    if method.http and field.message_type is not None and field.message_type.full_name == MASK
]
each_method = pytest.mark.parametrize("method", MASKED, ids=lambda method: method.name)
# What a field falls back to when it is cleared, where that is not its empty value.
CLEARED: Mapping[str, str] = {"locale": "en", "timeZone": "UTC"}


class Resource:
    """Somebody's resource, as one method changes it."""

    def __init__(self, method: Method, project: Project, person: Person) -> None:
        message = contract().pool.FindMessageTypeByName(method.input)
        mask = next(f for f in message.fields if f.message_type is not None and f.message_type.full_name == MASK)
        resource = message.fields_by_name[method.http[0].body]
        whole = examples.of_message(project, resource.message_type, request=True)
        self.names = examples.mask_fields(project, mask)
        self.mask = json_name(mask)
        self.new: Json = {name: whole[name] for name in self.names}
        if "handle" in self.new:
            self.new["handle"] = f"m{person.user_id[-14:]}"
        self._path, self._person = method.http[0].path, person

    async def change(self, body: Json, *mask: str) -> httpx.Response:
        query = {self.mask: ",".join(mask)} if mask else {}
        return await self._person.rest.patch(self._path, json=body, params=query, headers=self._person.bearer)

    async def changed(self, body: Json, *mask: str) -> Json:
        """What it is after a change that must succeed."""
        answer = await self.change(body, *mask)
        assert answer.status_code == 200, answer.text
        return {name: answer.json().get(name) for name in self.names}


@pytest.fixture
def resource(method: Method, project: Project, somebody: Person) -> Resource:
    return Resource(method, project, somebody)


@each_method
async def test_without_a_mask_what_is_sent_changes(resource: Resource) -> None:
    """Field by field: the one that is present changes, the others stay; null is a field that is not there."""
    before = await resource.changed({})
    for name in resource.names:
        rest = dict.fromkeys((other for other in resource.names if other != name), None)
        after = await resource.changed({name: resource.new[name], **rest})
        assert after == before | {name: resource.new[name]}
        before = after


@each_method
async def test_a_mask_changes_what_it_names_and_nothing_else(resource: Resource) -> None:
    """What is sent beside the mask is not heard, since the mask says what is meant."""
    before = await resource.changed({})
    name = resource.names[0]
    assert await resource.changed(resource.new, name) == before | {name: resource.new[name]}


@each_method
async def test_a_mask_clears_what_is_not_sent(resource: Resource) -> None:
    """Each field that is named and absent is as it was in the beginning."""
    fresh = await resource.changed({})
    await resource.changed(resource.new)
    for name in resource.names:
        cleared = (await resource.changed({}, name))[name]
        assert cleared == CLEARED.get(name, fresh[name]), name
    assert await resource.changed({}) == fresh


@each_method
async def test_a_star_names_everything(resource: Resource) -> None:
    """`*` replaces the whole: what is sent is set, what is not sent is cleared."""
    fresh = await resource.changed({})
    assert await resource.changed(resource.new, "*") == resource.new
    assert await resource.changed({}, "*") == fresh


@each_method
@pytest.mark.parametrize("mask", [("nope",), ("{first}", "nope"), ("{first}.deeper",)], ids=str)
async def test_an_unknown_name_in_a_mask_changes_nothing(resource: Resource, mask: tuple[str, ...]) -> None:
    """One unknown name and nothing is changed, not even what is known."""
    before = await resource.changed({})
    answer = await resource.change(resource.new, *(one.format(first=resource.names[0]) for one in mask))
    assert refusal(answer) == (400, "UNKNOWN_FIELD"), answer.text
    violations = answer.json()["details"][1]["fieldViolations"]
    assert [one["field"] for one in violations] == ["update_mask"]
    assert await resource.changed({}) == before


@each_method
async def test_what_was_read_may_be_sent_back(resource: Resource, method: Method, somebody: Person) -> None:
    """Output-only fields are ignored, also when a mask names them: reading and writing changes nothing."""
    read = (await somebody.rest.get(method.http[0].path, headers=somebody.bearer)).json()
    answer = await resource.change(read)
    assert answer.status_code == 200, answer.text
    assert answer.json() == read
