"""How each error that users declares is provoked; a person's own object is the person."""

from __future__ import annotations

import httpx

from mesh.model import new_id
from tests.e2e.people import Person
from tests.e2e.stories import Scene, Stories

STORIES = Stories()


@STORIES.owns("user")
async def _(person: Person) -> str:
    return person.user_id


@STORIES.provokes("GetProfile", "PROFILE_NOT_FOUND")
async def _(scene: Scene) -> httpx.Response:
    person = await scene.somebody()
    return await person.rest.get(f"/v1/users/{new_id('user')}", headers=person.bearer)


async def _changed(person: Person, path: str, query: str = "", **body: object) -> httpx.Response:
    return await person.rest.patch(f"{path}{query}", json=body, headers=person.bearer)


ME, PREFERENCES = "/v1/users/me", "/v1/users/me/preferences"


@STORIES.provokes("UpdateProfile", "STALE_PROFILE")
async def _(scene: Scene) -> httpx.Response:
    return await _changed(await scene.somebody(), ME, displayName="Ana", etag="long ago")


@STORIES.provokes("UpdateProfile", "HANDLE_TAKEN")
async def _(scene: Scene) -> httpx.Response:
    first, second = await scene.somebody(), await scene.somebody()
    handle = f"h{first.user_id[-12:]}"
    assert (await _changed(first, ME, handle=handle)).status_code == 200
    return await _changed(second, ME, handle=handle)


@STORIES.provokes("UpdateProfile", "UNKNOWN_FIELD")
async def _(scene: Scene) -> httpx.Response:
    return await _changed(await scene.somebody(), ME, "?updateMask=nope", displayName="Ana")


@STORIES.provokes("UpdateProfile", "UNKNOWN_TIME_ZONE")
async def _(scene: Scene) -> httpx.Response:
    return await _changed(await scene.somebody(), ME, timeZone="Mars/Olympus")


@STORIES.provokes("UpdatePreferences", "STALE_PREFERENCES")
async def _(scene: Scene) -> httpx.Response:
    return await _changed(await scene.somebody(), PREFERENCES, theme="THEME_DARK", etag="long ago")


@STORIES.provokes("UpdatePreferences", "UNKNOWN_FIELD")
async def _(scene: Scene) -> httpx.Response:
    return await _changed(await scene.somebody(), PREFERENCES, "?updateMask=nope", theme="THEME_DARK")


@STORIES.provokes("ListUsers", "BAD_PAGE_TOKEN")
async def _(scene: Scene) -> httpx.Response:
    person = await scene.administrator()
    return await person.rest.get("/v1/users", params={"pageToken": "nope"}, headers=person.bearer)
