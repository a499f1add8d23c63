"""A fault while deciding denies, on a running stack: what cannot be asked has not said yes."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator

import psutil
import pytest
import pytest_asyncio

from tests.e2e.auth.stories import WRONG
from tests.e2e.conftest import running
from tests.e2e.rest import refusal
from tests.e2e.stacks import Stack
from tests.e2e.stories import TRIES, Scene


@pytest.fixture(scope="module")
def frail() -> Iterator[Stack]:
    """A stack of which these tests stop parts for a moment."""
    yield from running("static")


@pytest_asyncio.fixture(loop_scope="session")
async def scene(frail: Stack) -> AsyncIterator[Scene]:
    made = Scene(frail)
    yield made
    await made.close()


@contextlib.contextmanager
def stopped(stack: Stack, name: str) -> Iterator[None]:
    """A process that is there and says nothing: the worst of all faults."""
    parent = psutil.Process(stack.process(name)["pid"])
    family = [parent, *parent.children(recursive=True)]
    for process in family:
        process.suspend()
    try:
        yield
    finally:
        for process in family:
            process.resume()


@pytest.mark.parametrize("silent", ["auth", "auth.sidecar", "users.sidecar"])
async def test_a_session_that_cannot_be_checked_opens_nothing(scene: Scene, silent: str) -> None:
    """A fresh method is refused while auth cannot be asked, and answered again when it can."""
    person = await scene.administrator()
    assert (await person.rest.get("/v1/users", headers=person.bearer)).status_code == 200
    with stopped(scene.stack, silent):
        answer = await person.rest.get("/v1/users", headers=person.bearer)
    assert answer.status_code in {503, 504}, answer.text
    assert refusal(answer)[1] in {"UNAVAILABLE", "DEADLINE_EXCEEDED"}
    await scene.stack.ready()
    assert (await person.rest.get("/v1/users", headers=person.bearer)).status_code == 200


async def test_without_its_counters_auth_still_counts(scene: Scene) -> None:
    """While Valkey says nothing, guessing passwords is bounded as before."""
    person = await scene.somebody()
    with stopped(scene.stack, "valkey"):
        statuses = []
        for _ in range(TRIES):
            body = {"email": person.email, "password": WRONG}
            statuses.append((await person.rest.post("/v1/auth:logIn", json=body, timeout=30)).status_code)
            if statuses[-1] == 429:
                break
    assert 200 not in statuses
    assert statuses[-1] == 429, statuses


async def test_without_its_database_auth_lets_nobody_in(scene: Scene) -> None:
    """While PostgreSQL says nothing, neither a right password nor a session is good."""
    person = await scene.somebody()
    with stopped(scene.stack, "postgres"):
        body = {"email": person.email, "password": person.password}
        entering = await person.rest.post("/v1/auth:logIn", json=body, timeout=30)
        listing = await person.rest.get("/v1/auth/sessions", headers=person.bearer, timeout=30)
    assert {entering.status_code, listing.status_code} <= {503, 504}
