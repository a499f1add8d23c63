"""What the tests of the running stack must be told of each service: it stands in tests/e2e/NAME/stories.py.

How each error that it declares is provoked from outside, in one short story for each method and reason;
and how a person comes by an object of theirs, for the rows of its objects.py.
"""

from __future__ import annotations

import importlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from google.protobuf.message import Message

from services.topology import SERVICES
from tests.e2e.people import Person
from tests.e2e.stacks import Stack

TRIES = 15
"""More than the failures after which an account is closed for a while to an address."""


@dataclass(frozen=True)
class Scene:
    """Where a story plays."""

    stack: Stack
    people: list[Person] = field(default_factory=list)

    def newcomer(self) -> Person:
        self.people.append(person := self.stack.person())
        return person

    async def close(self) -> None:
        """Everybody goes home."""
        for person in self.people:
            await person.rest.aclose()

    async def somebody(self) -> Person:
        return await self.newcomer().arrive()

    async def administrator(self) -> Person:
        person = await self.somebody()
        await self.stack.appoint(person)
        await person.log_in()
        return person

    async def guarded(self) -> tuple[Person, Any]:
        """Somebody with a second factor, whose next code is not used up yet."""
        person = await self.somebody()
        return person, await person.enrol_totp()


Story = Callable[[Scene], Awaitable[httpx.Response]]
Owned = Callable[[Person], Awaitable[str]]
Asked = Callable[[Scene], Awaitable[Message]]
"""A request inside the mesh, after what must happen before."""


@dataclass(frozen=True)
class Stories:
    """What is told of one service. Errors are known by the name of the method and the reason."""

    outer: dict[tuple[str, str], Story] = field(default_factory=dict)
    inner: dict[tuple[str, str], tuple[str, Asked]] = field(default_factory=dict)
    owned: dict[str, Owned] = field(default_factory=dict)

    def provokes(self, method: str, reason: str) -> Callable[[Story], Story]:
        """Says of which method a story's last answer is, and why it is refused."""

        def kept(story: Story) -> Story:
            self.outer[method, reason] = story
            return story

        return kept

    def inside(self, method: str, reason: str, workload: str, request: Message) -> None:
        """Says with what a workload calls a method that has no REST path, to be refused."""

        async def asked(_: Scene) -> Message:
            return request

        self.inner[method, reason] = (workload, asked)

    def inside_after(self, method: str, reason: str, workload: str) -> Callable[[Asked], Asked]:
        """The same with a request that a story leads to."""

        def kept(asked: Asked) -> Asked:
            self.inner[method, reason] = (workload, asked)
            return asked

        return kept

    def owns(self, kind: str) -> Callable[[Owned], Owned]:
        """Says how a person comes by a `kind` of their own; it returns its id."""

        def kept(owned: Owned) -> Owned:
            self.owned[kind] = owned
            return owned

        return kept


def told() -> Mapping[str, Stories]:
    """By service, what is told of it."""
    return {row.name: _told_of(row.name) for row in SERVICES if file_of(row.name).exists()}


def file_of(service: str) -> Path:
    """Where a service's stories are told."""
    return Path(__file__).parent / service / "stories.py"


def _told_of(service: str) -> Stories:
    found: Stories = importlib.import_module(f"tests.e2e.{service}.stories").STORIES
    return found


async def post(person: Person, path: str, **body: object) -> httpx.Response:
    return await person.rest.post(path, json=body, headers=person.bearer if person.tokens else {})


async def again_and_again(person: Person, path: str, **body: object) -> httpx.Response:
    """The first answer that says that it was too often, or the last."""
    for _ in range(TRIES):
        answer = await post(person, path, **body)
        if answer.status_code == 429:
            break
    return answer
