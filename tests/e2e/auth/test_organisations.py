"""Organisations on a running stack, as the people in them meet them."""

from __future__ import annotations

from typing import Any

from tests.e2e.auth.organisations import ACCEPT, ALL, HERE, INVITATIONS, MANAGER, MEMBER, MEMBERS, founder
from tests.e2e.people import Person
from tests.e2e.rest import refusal


async def subscribe(person: Person) -> Any:
    body = {"planId": "team-monthly", "quantity": 3}
    return await person.rest.post("/v1/subscriptions", json=body, headers=person.bearer)


async def read(person: Person, path: str) -> dict[str, Any]:
    answer = await person.rest.get(path, headers=person.bearer)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def test_a_member_s_life(somebody: Person, another: Person) -> None:
    """Invited by mail, in it, made a manager, removed: what somebody may do in an organisation follows their role."""
    owner, person = await founder(somebody), another
    own = person.organisation_id
    here = owner.organisation_id
    token = await person.invited(owner, MEMBER)
    (mail,) = await person.invitations()
    assert "Torres & Daughters" in mail and "a member" in mail
    made = await person.post(ACCEPT, {"token": token}, signed_in=True)
    assert (made["organisationId"], made["role"], made["current"]) == (here, MEMBER, False)
    again = await person.rest.post(ACCEPT, json={"token": token}, headers=person.bearer)
    assert refusal(again) == (400, "BAD_TOKEN")

    await person.switch(here)
    assert (await read(person, HERE))["current"] is True
    assert "subscriptions" in await read(person, "/v1/subscriptions")
    assert refusal(await subscribe(person))[0] == 403
    members = (await read(person, MEMBERS))["members"]
    assert {one["userId"]: one["email"] for one in members} == {owner.user_id: "", person.user_id: ""}

    await owner.post("/v1/paymentMethods", {"token": "pm_card_visa"}, signed_in=True)
    await owner.post(f"{MEMBERS}/{person.user_id}:changeRole", {"role": MANAGER}, signed_in=True)
    assert refusal(await subscribe(person))[0] == 403
    assert (await person.refresh())["organisationId"] == here
    subscribed = await subscribe(person)
    assert subscribed.status_code == 200, subscribed.text
    listed = await read(owner, "/v1/subscriptions")
    assert [one["subscriptionId"] for one in listed["subscriptions"]] == [subscribed.json()["subscriptionId"]]
    assert (await read(person, MEMBERS))["members"][0]["email"]

    assert (await owner.rest.delete(f"{MEMBERS}/{person.user_id}", headers=owner.bearer)).status_code == 200
    for refused in (
        await person.rest.get(HERE, headers=person.bearer),
        await person.rest.get("/v1/auth/sessions", headers=person.bearer),
        await subscribe(person),
    ):
        assert refusal(refused) == (401, "MEMBERSHIP_ENDED")
    assert (await person.refresh())["organisationId"] == own
    assert (await read(person, ALL))["organisations"][0]["organisationId"] == own
    assert (
        "subscriptions" not in await read(person, "/v1/subscriptions")
        or not (await read(person, "/v1/subscriptions"))["subscriptions"]
    )
    gone = await person.rest.post(f"{ALL}/{here}:switch", json={}, headers=person.bearer)
    assert refusal(gone) == (404, "ORGANISATION_NOT_FOUND")


async def test_what_is_a_person_s_is_theirs_in_every_organisation(somebody: Person) -> None:
    """Profile, preferences, inbox, sessions and passkeys are the same with a token for another organisation."""
    paths = (
        "/v1/users/me",
        "/v1/users/me/preferences",
        "/v1/notifications/preferences",
        "/v1/inbox/messages",
        "/v1/auth/sessions",
        "/v1/auth/passkeys",
        ALL,
    )
    changed = await somebody.rest.patch("/v1/users/me", json={"displayName": "Ana"}, headers=somebody.bearer)
    assert changed.status_code == 200
    before = [await read(somebody, path) for path in paths[:-1]]
    await founder(somebody)
    assert [await read(somebody, path) for path in paths[:-1]] == before
    again = await somebody.rest.patch("/v1/users/me", json={"displayName": "Ana T."}, headers=somebody.bearer)
    assert (again.status_code, again.json()["displayName"]) == (200, "Ana T.")
    personal, current = (await read(somebody, ALL))["organisations"]
    assert (personal["personal"], personal["current"], current["current"]) == (True, False, True)


async def test_whoever_signs_up_later_joins_with_the_mail(somebody: Person, newcomer: Person) -> None:
    """An address without an account is invited like any other; its mail is good once there is one."""
    token = await newcomer.invited(await founder(somebody), MANAGER)
    await newcomer.mail_after(newcomer.sign_up)
    await newcomer.verify()
    await newcomer.log_in()
    assert (await newcomer.post(ACCEPT, {"token": token}, signed_in=True))["role"] == MANAGER


async def test_an_invitation_that_was_taken_back_lets_nobody_in(somebody: Person, another: Person) -> None:
    """From that moment on, whoever has the mail."""
    await founder(somebody)
    token = await another.invited(somebody, MEMBER)
    (sent,) = (await read(somebody, INVITATIONS))["invitations"]
    assert sent["email"] == another.email
    revoked = await somebody.rest.delete(f"{INVITATIONS}/{sent['invitationId']}", headers=somebody.bearer)
    assert revoked.status_code == 200
    refused = await another.rest.post(ACCEPT, json={"token": token}, headers=another.bearer)
    assert refusal(refused) == (400, "BAD_TOKEN")
