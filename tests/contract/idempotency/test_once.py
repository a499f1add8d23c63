"""What every idempotency store promises; run against PostgreSQL and against the fake."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from infra.idempotency import AnswerNotKept, Idempotency, RequestIdReused, RequestInProgress
from infra.postgres import open_database
from infra.settings import ServiceSettings
from mesh import app
from tests.fakes.idempotency import FakeIdempotency
from tests.servers import PASSWORD, Postgres


@pytest.fixture(params=["memory", "PostgreSQL"])
def server(request: pytest.FixtureRequest) -> Postgres | None:
    """The server of the store under test, if it has one."""
    return request.getfixturevalue("postgres") if request.param == "PostgreSQL" else None


@pytest.fixture
async def store(server: Postgres | None, tmp_path: Path) -> AsyncIterator[app.Idempotency]:
    """Each store in turn, empty."""
    if server is None:
        yield FakeIdempotency()
        return
    (tmp_path / "postgres").write_text(PASSWORD)
    settings = ServiceSettings(
        workload="users",
        run_dir=tmp_path,
        state_dir=tmp_path,
        secrets_dir=tmp_path,
        postgres_port=server.port,
        postgres_database=await server.new_database(),
    )
    async with open_database(settings) as database:
        yield Idempotency(database)


class Work:
    """A handler that counts its runs."""

    def __init__(self, error: Exception | None = None) -> None:
        self.runs = 0
        self.error = error

    async def __call__(self) -> bytes:
        self.runs += 1
        if self.error is not None:
            raise self.error
        return b"answer %d" % self.runs


async def ask(
    store: app.Idempotency,
    work: Work,
    *,
    principal: str = "user_1",
    method: str = "/a.B/C",
    request_id: str = "one",
    body: bytes = b"hash",
    keep: bool = True,
) -> bytes:
    return await store.once(principal, method, request_id, body, work, keep)


async def test_the_same_request_is_carried_out_once(store: app.Idempotency) -> None:
    """A repeated request gets the first answer."""
    work = Work()
    assert [await ask(store, work) for _ in range(3)] == [b"answer 1"] * 3
    assert work.runs == 1


async def test_the_same_id_for_another_request_is_refused(store: app.Idempotency) -> None:
    """A request id belongs to one request."""
    work = Work()
    await ask(store, work)
    with pytest.raises(RequestIdReused):
        await ask(store, work, body=b"another hash")
    assert work.runs == 1


async def test_an_id_belongs_to_a_principal_and_a_method(store: app.Idempotency) -> None:
    """Others, and other methods, may use the same request id."""
    work = Work()
    await ask(store, work)
    assert await ask(store, work, principal="user_2", body=b"x") == b"answer 2"
    assert await ask(store, work, method="/a.B/D", body=b"x") == b"answer 3"


async def test_a_failed_request_may_be_tried_again(store: app.Idempotency) -> None:
    """An error leaves nothing behind."""
    with pytest.raises(ZeroDivisionError):
        await ask(store, Work(ZeroDivisionError()))
    assert await ask(store, Work(), body=b"another hash") == b"answer 1"


async def test_a_credential_is_not_kept(store: app.Idempotency) -> None:
    """An answer that may not be stored is given once; the request is not carried out again."""
    work = Work()
    assert await ask(store, work, keep=False) == b"answer 1"
    with pytest.raises(AnswerNotKept):
        await ask(store, work, keep=False)
    assert work.runs == 1


async def test_a_twin_is_turned_away_while_the_first_runs(store: app.Idempotency) -> None:
    """Of two at the same time one is carried out, the other is told to come again; then it has the answer."""
    begun, may_end = asyncio.Event(), asyncio.Event()

    async def slow() -> bytes:
        begun.set()
        await may_end.wait()
        return b"slow"

    first = asyncio.create_task(store.once("user_1", "/a.B/C", "one", b"hash", slow, True))
    await begun.wait()
    with pytest.raises(RequestInProgress):
        await ask(store, Work())
    may_end.set()
    assert await first == b"slow"
    assert await ask(store, Work()) == b"slow"


async def test_fifty_twins_have_one_effect(store: app.Idempotency) -> None:
    """However many ask at once, one is carried out, and who got an answer got the same."""
    work = Work()
    answers = await asyncio.gather(*(ask(store, work) for _ in range(50)), return_exceptions=True)
    assert work.runs == 1
    assert {answer for answer in answers if isinstance(answer, bytes)} == {b"answer 1"}
    assert all(isinstance(answer, bytes | RequestInProgress) for answer in answers)
