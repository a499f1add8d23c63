"""What administrators may do, and for how long."""

from __future__ import annotations

from tests.e2e.people import Person
from tests.e2e.rest import refusal
from tests.e2e.stacks import Stack


async def test_an_administrator_finds_people(stack: Stack, somebody: Person, another: Person) -> None:
    """An administrator lists whole profiles by the beginning of their handles, page by page."""
    await stack.appoint(somebody)
    await somebody.log_in()
    prefix = f"p{another.user_id[-10:]}"
    for person, handle in ((somebody, f"{prefix}_1"), (another, f"{prefix}_2")):
        answer = await person.rest.patch("/v1/users/me", json={"handle": handle}, headers=person.bearer)
        assert answer.status_code == 200, answer.text
    found: list[str] = []
    query = {"handlePrefix": prefix, "pageSize": "1"}
    while True:
        page = (await somebody.rest.get("/v1/users", params=query, headers=somebody.bearer)).json()
        found += [profile["handle"] for profile in page["users"]]
        if not page["nextPageToken"]:
            break
        query["pageToken"] = page["nextPageToken"]
    assert found == [f"{prefix}_1", f"{prefix}_2"]
    other_query = query | {"handlePrefix": prefix[:-1]}
    refused = await somebody.rest.get("/v1/users", params=other_query, headers=somebody.bearer)
    assert refusal(refused) == (400, "BAD_PAGE_TOKEN")


async def test_a_role_ends_at_once(stack: Stack, somebody: Person, another: Person) -> None:
    """A revoked role opens nothing that is asked afresh, though the token still says it."""
    for person in (somebody, another):
        await stack.appoint(person)
        await person.log_in()
    body = {"role": "ROLE_ADMINISTRATOR"}
    path = f"/v1/auth/accounts/{another.user_id}:revokeRole"
    revoked = await somebody.rest.post(path, json=body, headers=somebody.bearer)
    assert revoked.status_code == 200, revoked.text
    refused = await another.rest.get("/v1/users", headers=another.bearer)
    assert refusal(refused) == (403, "DENIED")
