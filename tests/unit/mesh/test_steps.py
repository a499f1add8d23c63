"""The small steps, each by itself: a method, what comes after, and a call."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import Any

import pytest

from mesh import contract, identity, limits, messages, policy, validation
from mesh.call import Call, Peer, Step
from mesh.capacity import Capacity
from mesh.deadline import Deadlines
from mesh.model import (
    DeadlineExceeded,
    Denied,
    Exhausted,
    Invalid,
    OrganisationId,
    SessionId,
    Unauthenticated,
    User,
    UserId,
)
from tests.unit.mesh.echo import ECHO, ask

ADMINISTRATOR = User(UserId("u"), OrganisationId("o"), SessionId("s"), frozenset({"administrator"}))


def call(workload: str = "gateway", user: User | None = None, seconds: float = 1.0, **policy: Any) -> Call:
    return Call(replace(ECHO, **policy), Peer(workload), time.monotonic() + seconds, user=user)


async def through(step: Step, made: Call, request: Any = b"", after: Any = None) -> Any:
    """What arrives behind the step."""
    seen: list[Any] = []

    async def proceed(request: Any, call: Call) -> bytes:
        seen.append(request)
        if after:
            await after()
        return b"answer"

    assert await step(made.method, proceed)(request, made) == b"answer"
    return seen[0]


async def test_a_call_ends_at_its_deadline() -> None:
    """What takes longer than the call may is cancelled, and the caller is told."""
    with pytest.raises(DeadlineExceeded):
        await through(Deadlines().bounded, call(seconds=0.02), after=lambda: asyncio.sleep(5))
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_a_call_without_time_does_not_begin() -> None:
    """A deadline that has passed is refused before anything is done."""
    with pytest.raises(DeadlineExceeded):
        await through(Deadlines().bounded, call(seconds=-1), after=pytest.fail)


async def test_a_cancelled_call_is_cancelled() -> None:
    """A caller that goes away is no deadline that has passed."""
    running = asyncio.ensure_future(through(Deadlines().bounded, call(), after=lambda: asyncio.sleep(5)))
    await asyncio.sleep(0.01)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_a_timeout_of_the_handlers_own_is_not_the_deadline() -> None:
    """A handler's own TimeoutError stays what it is."""

    async def late() -> None:
        async with asyncio.timeout(0):
            await asyncio.sleep(1)

    with pytest.raises(TimeoutError):
        await through(Deadlines().bounded, call(), after=late)


async def test_a_handler_that_ends_in_spite_of_its_deadline_leaves_a_clean_task() -> None:
    """Who swallows the cancellation answers late, and its task can be used again."""

    async def stubborn() -> None:
        try:
            await asyncio.sleep(5)
        except asyncio.CancelledError:
            return

    await through(Deadlines().bounded, call(seconds=0.01), after=stubborn)
    await asyncio.sleep(0)


async def test_a_full_process_refuses_with_a_time() -> None:
    """One call too many is refused at once with a time to come again; when one ends there is room."""
    capacity = Capacity(1)
    first = asyncio.ensure_future(through(capacity.bounded, call(), after=lambda: asyncio.sleep(0.05)))
    await asyncio.sleep(0.01)
    with pytest.raises(Exhausted) as refused:
        await through(capacity.bounded, call())
    assert refused.value.retry_after == limits.OVERLOAD_PAUSE
    await first
    await through(capacity.bounded, call())


async def test_failures_give_their_room_back() -> None:
    """A call that fails takes no room for ever."""
    capacity = Capacity(1)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            await through(capacity.bounded, call(), after=lambda: 1 / 0)
    assert capacity.calls.free == 1


async def test_a_stranger_is_refused() -> None:
    """Whoever has not proven to be a workload gets no further."""
    with pytest.raises(Unauthenticated):
        await through(identity.known, call(workload=""))
    await through(identity.known, call())


async def test_only_named_workloads_call() -> None:
    """A workload that the contract does not name is denied."""
    with pytest.raises(Denied):
        await through(policy.caller, call(workload="operator"))
    await through(policy.caller, call(workload="gateway"))


@pytest.mark.parametrize(
    ("user", "refusal"), [(None, Unauthenticated), (replace(ADMINISTRATOR, roles=frozenset()), Denied)]
)
async def test_roles_are_required(user: User | None, refusal: type[Exception]) -> None:
    """Where the contract names roles, the end user holds one of them."""
    roles = frozenset({"administrator", "auditor"})
    with pytest.raises(refusal):
        await through(policy.end_user, call(user=user, roles=roles))
    await through(policy.end_user, call(user=ADMINISTRATOR, roles=roles))


@pytest.mark.parametrize("end_user", [contract.OPTIONAL, contract.REQUIRED])
@pytest.mark.parametrize("scope", ["", "shop.read"])
@pytest.mark.parametrize("roles", [frozenset[str](), frozenset({"administrator"})])
async def test_a_key_needs_the_scope(end_user: str, scope: str, roles: frozenset[str]) -> None:
    """Where the contract has a scope a key has it, beside the role if there is one; where it has none, only people."""

    def by(scopes: set[str] | None) -> Call:
        user = replace(ADMINISTRATOR, scopes=None if scopes is None else frozenset(scopes))
        return call(user=user, end_user=end_user, roles=roles, scope=scope)

    await through(policy.end_user, by(None))
    for scopes in (set[str](), {"shop.write"}, {"users.read", "shop.reader"}, *([] if scope else [{"shop.read"}])):
        with pytest.raises(Denied):
            await through(policy.end_user, by(scopes))
    if scope:
        await through(policy.end_user, by({"shop.write", "shop.read"}))


async def test_a_scope_is_no_role() -> None:
    """A key with the scope of a method still needs one of its roles."""
    key = replace(ADMINISTRATOR, roles=frozenset(), scopes=frozenset({"shop.read"}))
    made = call(user=key, end_user=contract.REQUIRED, roles=frozenset({"owner"}), scope="shop.read")
    with pytest.raises(Denied):
        await through(policy.end_user, made)


async def test_nobody_needs_no_scope() -> None:
    """Where a user may be missing, nobody is let in whatever keys need."""
    await through(policy.end_user, call(end_user=contract.OPTIONAL, scope="shop.read"))


async def test_steps_that_a_method_does_not_need_are_not_there() -> None:
    """Where no token is looked at there is nothing around the rest."""

    async def proceed(request: Any, call: Call) -> bytes:
        return b""

    assert policy.end_user(ECHO, proceed) is proceed


async def test_bytes_become_a_message() -> None:
    """Behind the step the request is a message; bytes that are none are refused as invalid."""
    assert await through(messages.decoded, call(), ask("Ada").SerializeToString()) == ask("Ada")
    with pytest.raises(Invalid):
        await through(messages.decoded, call(), b"\xff\xff")


async def test_rules_of_the_contract_hold() -> None:
    """A request that breaks a rule is refused with the field's path; one that breaks none goes on."""
    await through(validation.valid, call(), ask("Ada"))
    with pytest.raises(Invalid) as refused:
        await through(validation.valid, call(), ask("x" * 81))
    assert [violation.field for violation in refused.value.violations] == ["profile.display_name"]


async def test_violations_are_bounded() -> None:
    """However much is wrong, only so much is said."""
    many = messages.message_class("tulle.users.v1.BatchGetProfilesRequest")(user_ids=["x"] * 100)
    with pytest.raises(Invalid) as refused:
        validation.validate(many)
    assert len(refused.value.violations) == limits.VIOLATIONS_TOLD
    assert refused.value.violations[3].field == "user_ids[3]"
