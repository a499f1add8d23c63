"""Processes die at random moments while people sign up; nothing is lost and nothing happens twice."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from tests.e2e.people import Person, eventually
from tests.e2e.stacks import Stack

SEED = int(os.environ.get("SEED", "0")) or random.randrange(2**32)
SECONDS = 15.0
"""How long people sign up and processes die."""
ARRIVALS = 4
"""People who are signing up at any moment."""
VICTIMS = (
    "postgres",
    "valkey",
    "nats",
    "mail",
    "payments",
    "users",
    "auth",
    "users.sidecar",
    "auth.sidecar",
    "gateway",
)
CONTROL_PLANE = ("istiod", "kubernetes", "etcd", "sds")
"""Victims too, where it is."""


@dataclass
class Story:
    """What was done: who was told that their account is open, and what died."""

    verified: list[str] = field(default_factory=list)
    attempted: int = 0
    killed: list[str] = field(default_factory=list)


async def test_every_account_gets_one_profile(own_stack: Stack, tell: Callable[[str], None]) -> None:
    """Whatever dies while people sign up, each account that was verified has exactly one profile in the end."""
    story, chance = Story(), random.Random(SEED)
    try:
        await happen(own_stack, story, chance)
        await own_stack.ready()
        await eventually(lambda: nothing_under_way(own_stack))
        await judge(own_stack, story)
        await prove_the_judge(own_stack, story)
    finally:
        tell(
            f"kills: seed {SEED}: {len(story.killed)} processes killed ({', '.join(story.killed)}), "
            f"{len(story.verified)} of {story.attempted} accounts verified"
        )


async def happen(stack: Stack, story: Story, chance: random.Random) -> None:
    """Let people arrive and processes die for a while; then let those who have begun come to an end."""
    over = asyncio.Event()
    arrivals = [asyncio.create_task(arrive(stack, story, over)) for _ in range(ARRIVALS)]
    killing = asyncio.create_task(kill(stack, story, chance))
    await asyncio.sleep(SECONDS)
    killing.cancel()
    over.set()
    await asyncio.gather(*arrivals)


async def kill(stack: Stack, story: Story, chance: random.Random) -> None:
    victims = (*VICTIMS, *CONTROL_PLANE) if stack.layout.settings.mesh == "istio" else VICTIMS
    while True:
        await asyncio.sleep(chance.uniform(0.2, 2.0))
        victim = chance.choice(victims)
        stack.kill(victim)
        story.killed.append(victim)


async def arrive(stack: Stack, story: Story, over: asyncio.Event) -> None:
    """One person after another signs up and confirms, as often as it takes."""
    while not over.is_set():
        person = stack.person()
        story.attempted += 1
        await insist(person, "/v1/auth:signUp", {"email": person.email})
        token = await person.token_from_mail()
        answer = await insist(person, "/v1/auth:verifyEmail", {"token": token, "password": person.password})
        story.verified.append(answer["userId"] if answer else await user_id_of(person))
        await person.rest.aclose()


async def user_id_of(person: Person) -> str:
    """Who lost the answer to the confirmation finds out by logging in."""
    answer = await insist(person, "/v1/auth:logIn", {"email": person.email, "password": person.password})
    assert answer is not None
    return str(answer["tokens"]["userId"])


async def insist(person: Person, path: str, body: dict[str, str]) -> dict[str, Any] | None:
    """The answer of a POST that is sent again while the platform is away; None when an earlier try has done it."""

    async def attempt() -> httpx.Response | None:
        with contextlib.suppress(httpx.TransportError):
            answer = await person.rest.post(path, json=body)
            return answer if answer.status_code < 429 else None
        return None

    answer: httpx.Response = await patiently(attempt)
    if answer.status_code == 400 and path.endswith("verifyEmail"):
        return None
    assert answer.status_code == 200, (path, answer.status_code, answer.text)
    return dict(answer.json())


async def patiently(attempt: Callable[[], Awaitable[Any]]) -> Any:
    """`eventually`, for those whom a restart may keep waiting."""

    async def calmly() -> Any:
        result = await attempt()
        if not result:
            await asyncio.sleep(0.2)
        return result

    return await eventually(calmly)


async def nothing_under_way(stack: Stack) -> bool:
    """Whether every event has been published, consumed and its effect made."""
    waiting = await stack.rows("auth", "SELECT 1 FROM outbox WHERE published_at IS NULL")
    created = await stack.rows("auth", "SELECT event_id FROM outbox WHERE type = 'tulle.auth.v1.AccountCreated'")
    consumed = await stack.rows("users", "SELECT event_id FROM inbox")
    parked = await stack.rows("users", "SELECT event_id FROM parked")
    return not waiting and not parked and set(created) <= set(consumed)


async def prove_the_judge(stack: Stack, story: Story) -> None:
    """A judge who does not see a lost profile is no judge."""
    lost = min(story.verified)
    await stack.rows("users", f"DELETE FROM preferences WHERE user_id = '{lost}'")
    await stack.rows("users", f"DELETE FROM profiles WHERE user_id = '{lost}'")
    with pytest.raises(AssertionError):
        await judge(stack, story)


async def judge(stack: Stack, story: Story) -> None:
    """Raises: AssertionError unless accounts, events, effects and profiles are one to one."""
    accounts = await stack.rows("auth", "SELECT user_id FROM accounts")
    created = await stack.rows("auth", "SELECT aggregate_id FROM outbox WHERE type = 'tulle.auth.v1.AccountCreated'")
    consumed = await stack.rows("users", "SELECT aggregate_id FROM inbox WHERE source = 'auth'")
    profiles = await stack.profiles(story.verified)
    everybody = await stack.rows("users", "SELECT user_id FROM profiles")
    assert story.verified
    assert sorted(p.user_id for p in profiles) == sorted(story.verified)
    assert sorted(created) == sorted(consumed) == sorted(everybody)
    assert {row["user_id"] for row in everybody} <= {row["user_id"] for row in accounts}
    assert all(profile.etag == "0" for profile in profiles)
