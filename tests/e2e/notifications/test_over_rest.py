"""Notifications as anybody outside sees them: through the gateway of a running stack."""

from __future__ import annotations

from mesh.model import UserId
from services.notifications.domain.kinds import Category
from services.notifications.domain.unsubscribing import Links
from tests.e2e.people import Person, eventually
from tests.e2e.rest import refusal
from tests.e2e.stacks import Stack

PREFERENCES = "/v1/notifications/preferences"
ONE_CLICK = {"List-Unsubscribe": "One-Click"}


async def test_a_click_in_a_mail_program_ends_its_mails(stack: Stack, somebody: Person) -> None:
    """The form of RFC 8058 at a mail's address, without a token, ends its category's mails to its reader alone."""
    key = stack.layout.secret("notifications", "unsubscribe-key")
    link = Links(key.encode(), "").link(UserId(somebody.user_id), Category.CONTENT)
    for _ in range(2):
        answer = await somebody.rest.post(link, data=ONE_CLICK)
        assert (answer.status_code, answer.json()) == (200, {})
    preferences = (await somebody.rest.get(PREFERENCES, headers=somebody.bearer)).json()
    assert (preferences["content"]["mail"], preferences["content"]["push"], preferences["etag"]) == (False, True, "1")
    assert preferences["billing"]["mail"] is True


async def test_only_a_click_is_one(stack: Stack, somebody: Person) -> None:
    """A link that is opened changes nothing, and any other form says something that nobody would hear."""
    link = "/v1/notifications:unsubscribe"
    assert refusal(await somebody.rest.get(link)) == (405, "METHOD_NOT_ALLOWED")
    assert refusal(await somebody.rest.post(link, data=ONE_CLICK)) == (400, "INVALID")
    assert refusal(await somebody.rest.post(link, data={"List-Unsubscribe": "Two-Click"})) == (400, "UNEXPECTED_BODY")
    assert refusal(await somebody.rest.patch(PREFERENCES, data=ONE_CLICK, headers=somebody.bearer)) == (
        415,
        "UNSUPPORTED_MEDIA_TYPE",
    )


async def test_everybody_can_ask_why(somebody: Person) -> None:
    """Who asked for a reset reads that its mail went out; nobody else reads of it."""
    await somebody.rest.post("/v1/auth:requestPasswordReset", json={"email": somebody.email})

    async def sent() -> list[str]:
        answer = await somebody.rest.get("/v1/notifications:why", params={"kind": "reset"}, headers=somebody.bearer)
        found = [one for one in answer.json()["deliveries"] if one["state"] == "DELIVERY_STATE_SENT"]
        return [one["kind"] for one in found if one["history"][-1]["state"] == one["state"]]

    assert await eventually(sent) == ["reset"]
