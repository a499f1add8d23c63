"""`./tulle why`: an operator asks what somebody was told, and what came of an event."""

from __future__ import annotations

import json
from typing import Any

from tests.e2e.people import Person, eventually
from tests.e2e.stacks import Stack
from tests.e2e.test_stack import settings_of, tulle


def _told(stack: Stack, *words: str) -> Any:
    done = tulle(settings_of(stack), "why", *words, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


async def test_an_operator_asks_why(stack: Stack, somebody: Person) -> None:
    """By person and by event the same is found, with each decision; by another kind nothing is."""
    await somebody.rest.post("/v1/auth:requestPasswordReset", json={"email": somebody.email})

    async def sent() -> Any:
        found = _told(stack, somebody.user_id, "--kind", "reset")
        return [one for one in found if one["state"] == "DELIVERY_STATE_SENT"]

    (found,) = await eventually(sent)
    assert (found["kind"], found["channel"], len(found["history"])) == ("reset", "mail", 1)
    assert _told(stack, found["eventId"]) == [found]
    assert _told(stack, somebody.user_id, "--kind", "verify") == []


async def test_the_table_is_for_people(stack: Stack, somebody: Person) -> None:
    """Who was told nothing is told so, with status 0; what is no id, with status 1."""
    done = tulle(settings_of(stack), "why", somebody.user_id, "--kind", "nothing")
    assert (done.returncode, "Nobody was to be told" in done.stderr) == (0, True)
    done = tulle(settings_of(stack), "why", somebody.email)
    assert (done.returncode, "is no id of a person" in done.stderr) == (1, True)
    done = tulle(settings_of(stack), "why", "user_nope")
    assert (done.returncode, "user_id: " in done.stderr) == (1, True)
