"""`./tulle events`: an operator sees what waits, follows one event, tries again what failed, publishes again."""

from __future__ import annotations

import json
from typing import Any

from tests.e2e.people import Person, eventually
from tests.e2e.stacks import Stack
from tests.e2e.test_stack import settings_of, tulle


def _told(stack: Stack, *words: str) -> Any:
    done = tulle(settings_of(stack), "events", *words)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


async def test_the_overview_names_streams_consumers_and_lag(stack: Stack) -> None:
    """Each workload with events says what waits; each consumer of the contract has its row."""
    found = _told(stack, "--json")
    assert all(backlog["brokerAnswers"] for backlog in found.values())
    consumers = {one["name"] for backlog in found.values() for one in backlog["consumers"]}
    assert "users-account_created" in consumers
    assert found["auth"]["stream"]["name"] == "TULLE_AUTH"


async def test_one_event_is_followed_from_its_producer_to_its_consumers(stack: Stack, somebody: Person) -> None:
    """From the id of a person to the event that announced them, and from there to what became of it."""
    (event,) = [
        one
        for one in _told(stack, "list", "auth", "--about", somebody.user_id, "--json")
        if one["event"]["type"].endswith("AccountCreated")
    ]

    async def consumed() -> bool:
        life = _told(stack, "show", event["event"]["eventId"])
        return bool("publishedTime" in life and life["consumers"].get("users", {}).get("done"))

    await eventually(consumed)
    assert event["event"]["payload"]["userId"] == somebody.user_id


async def test_what_cannot_be_done_says_why(stack: Stack) -> None:
    """A workload, an event, a time, a dead letter that does not exist: a sentence and status 1."""
    for words, said in (
        (("list", "nobody"), "nobody has no events"),
        (("show", "event_x"), "No workload knows an event"),
        (("replay", "auth", "--since", "yesterday"), "is no time"),
        (("replay", "auth", "--since", "1h", "--type", "tulle.auth.v1.Nothing"), "is no event"),
        (("redrive", "event_x"), "no dead letter"),
    ):
        done = tulle(settings_of(stack), "events", *words)
        assert (done.returncode, said in done.stderr.replace("\n", " ")) == (1, True), done.stderr


async def test_a_replay_goes_back_as_far_as_it_says(stack: Stack, somebody: Person) -> None:
    """What was published since then is published again, and consumers that had it do nothing."""
    before = await stack.rows("users", "SELECT count(*) FROM inbox")
    done = tulle(settings_of(stack), "events", "replay", "auth", "--since", "1d")
    assert "published again" in done.stderr
    assert "published again: 0" not in done.stderr

    async def published() -> bool:
        return bool(_told(stack, "--json")["auth"]["unpublished"] == "0")

    await eventually(published)
    assert somebody.user_id
    assert await stack.rows("users", "SELECT count(*) FROM inbox") >= before
