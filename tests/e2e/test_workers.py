"""Events are worked on in processes of their own: those answer no call, and may come and go."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from tests.e2e.conftest import running
from tests.e2e.people import eventually
from tests.e2e.stacks import Stack


@pytest.fixture
def parted() -> Iterator[Stack]:
    """A stack whose workers are processes of their own."""
    yield from running("static", "own")


async def test_events_wait_for_their_worker_and_calls_do_not(parted: Stack) -> None:
    """While it is stopped calls are answered and nothing is consumed; then it catches up on what waited."""
    person = await parted.person().arrive()
    stopped = parted.process("users-worker")["pid"]
    os.kill(stopped, signal.SIGSTOP)
    try:
        late = await parted.person().arrive()
        assert (await person.rest.get("/v1/users/me", headers=person.bearer)).status_code == 200
        assert await _announced(parted, late.user_id) == 0
    finally:
        os.kill(stopped, signal.SIGCONT)

    async def consumed() -> bool:
        return await _announced(parted, late.user_id) == 1

    await eventually(consumed)
    await _answers_health_alone(parted)


async def _announced(stack: Stack, user_id: str) -> int:
    """How many of a person's events have come to users."""
    found = await stack.rows("users", f"SELECT 1 FROM inbox WHERE aggregate_id = '{user_id}'")
    return len(found)


async def _answers_health_alone(stack: Stack) -> None:
    async with grpc.aio.insecure_channel(f"unix:{stack.layout.run / 'users-worker.sock'}") as channel:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            call: Any = channel.unary_unary("/tulle.users.v1.UsersService/GetProfile")
            await call(b"", timeout=5)
    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED
