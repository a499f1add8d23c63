"""From a payment to the mail and the inbox: billing, broker, notifications and mail server, all running."""

from __future__ import annotations

from typing import Any

from tests.e2e.billing.stories import GOOD_CARD, save, start
from tests.e2e.people import Person, eventually

PREFERENCES = "/v1/notifications/preferences"
NO_MAIL = {"billing": {"mail": False}}


async def why(person: Person) -> dict[str, Any]:
    """By channel, what came of the paid invoice."""
    asked = {"kind": "invoice_paid"}
    answer = await person.rest.get("/v1/notifications:why", params=asked, headers=person.bearer)
    return {
        one["channel"]: (one["state"].removeprefix("DELIVERY_STATE_"), one["reason"])
        for one in answer.json()["deliveries"]
    }


async def test_who_paid_is_told(somebody: Person) -> None:
    """A mail in the reader's language with the amount, a message in the inbox; no browser, no push; and why says so."""
    await somebody.rest.patch("/v1/users/me", json={"locale": "de-AT"}, headers=somebody.bearer)
    await save(somebody, GOOD_CARD)
    await start(somebody, "team-monthly", quantity=2)
    told = {"mail": ("SENT", ""), "in_app": ("SENT", ""), "push": ("WITHHELD", "NOBODY")}

    async def all_told() -> bool:
        return await why(somebody) == told

    await eventually(all_told)
    text = await somebody.newest_mail()
    assert "21,42" in text
    assert "Vielen Dank" in text
    inbox = (await somebody.rest.get("/v1/inbox/messages", headers=somebody.bearer)).json()
    assert [one["kind"] for one in inbox["messages"]] == ["invoice_paid", "welcome"]


async def test_who_unsubscribed_is_not(somebody: Person) -> None:
    """Billing's mails switched off, the payment is told in the inbox alone, and why says what was off."""
    await somebody.rest.patch(PREFERENCES, json=NO_MAIL, headers=somebody.bearer)
    await save(somebody, GOOD_CARD)
    await start(somebody, "team-monthly", quantity=1)

    async def withheld() -> bool:
        return (await why(somebody)).get("mail") == ("WITHHELD", "PREFERENCE_OFF")

    await eventually(withheld)
    assert "invoice" not in (await somebody.newest_mail()).lower()
