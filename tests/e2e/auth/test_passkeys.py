"""Passkeys on a running stack, as a browser uses them."""

from __future__ import annotations

from tests.e2e.auth.passkeys import PASSKEYS, add_passkey, device_of, log_in
from tests.e2e.people import Person
from tests.e2e.rest import refusal


async def test_a_passkey_takes_the_place_of_password_and_code(somebody: Person) -> None:
    """Who has added a passkey logs in with it, second factor or not, is told by mail, and can take it away again."""
    device = device_of(somebody)
    passkey_id = ""

    async def add() -> None:
        nonlocal passkey_id
        passkey_id = await add_passkey(somebody, device)

    await somebody.mail_after(add)
    assert "passkey" in await somebody.newest_mail()
    await somebody.enrol_totp()
    answer = await log_in(somebody, device)
    assert answer.status_code == 200, answer.text
    tokens = answer.json()
    assert tokens["userId"] == somebody.user_id
    bearer = {"authorization": f"Bearer {tokens['accessToken']}"}
    listed = await somebody.rest.get(PASSKEYS, headers=bearer)
    (one,) = listed.json()["passkeys"]
    assert (one["passkeyId"], one["name"], "useTime" in one) == (passkey_id, "phone", True)


async def test_a_removed_passkey_logs_nobody_in(somebody: Person) -> None:
    """From the moment of the answer."""
    device = device_of(somebody)
    passkey_id = await add_passkey(somebody, device)
    await somebody.post(f"{PASSKEYS}/{passkey_id}:remove", {"password": somebody.password}, signed_in=True)
    assert refusal(await log_in(somebody, device)) == (401, "BAD_PASSKEY")


async def test_an_answer_is_good_once(somebody: Person) -> None:
    """A signature that somebody saw on its way opens nothing after it has been used."""
    device = device_of(somebody)
    device.counts = False
    await add_passkey(somebody, device)
    options = await somebody.post(f"{PASSKEYS}:beginLogIn", {})
    body = {"credential": device.get(options["options"])}
    first, second = [await somebody.rest.post(f"{PASSKEYS}:finishLogIn", json=body) for _ in range(2)]
    assert (first.status_code, refusal(second)) == (200, (401, "BAD_PASSKEY"))
