"""How each error that notifications declares is provoked; nobody names an object of another's."""

from __future__ import annotations

from typing import Any

import httpx

from tests.e2e.people import Person
from tests.e2e.stories import Scene, Stories

STORIES = Stories()
PREFERENCES = "/v1/notifications/preferences"


async def _changed(person: Person, query: str = "", **body: Any) -> httpx.Response:
    return await person.rest.patch(f"{PREFERENCES}{query}", json=body, headers=person.bearer)


@STORIES.provokes("UpdatePreferences", "STALE_PREFERENCES")
async def _(scene: Scene) -> httpx.Response:
    return await _changed(await scene.somebody(), billing={"mail": False}, etag="long ago")


@STORIES.provokes("UpdatePreferences", "EMPTY_QUIET_HOURS")
async def _(scene: Scene) -> httpx.Response:
    return await _changed(await scene.somebody(), quietHours={"start": "22:00", "end": "22:00"})


@STORIES.provokes("UpdatePreferences", "UNKNOWN_FIELD")
async def _(scene: Scene) -> httpx.Response:
    return await _changed(await scene.somebody(), "?updateMask=nope", billing={"mail": False})


@STORIES.provokes("Unsubscribe", "BAD_UNSUBSCRIBE_TOKEN")
async def _(scene: Scene) -> httpx.Response:
    return await scene.newcomer().rest.post("/v1/notifications:unsubscribe", params={"token": "nope"})


@STORIES.provokes("ListMessages", "BAD_PAGE_TOKEN")
async def _(scene: Scene) -> httpx.Response:
    person = await scene.somebody()
    return await person.rest.get("/v1/inbox/messages", params={"pageToken": "nope"}, headers=person.bearer)
