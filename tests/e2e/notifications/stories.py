"""How each error that notifications declares is provoked, and how a person comes by an object."""

from __future__ import annotations

from typing import Any

import httpx

from mesh.model import new_id
from services.notifications.push.domain import ENDPOINTS_MOST
from tests.e2e.people import Person, eventually
from tests.e2e.stories import Scene, Stories

STORIES = Stories()
PREFERENCES = "/v1/notifications/preferences"
WHY = "/v1/notifications:why"


@STORIES.owns("event")
async def _(person: Person) -> str:
    """Because of which they were told something."""
    await person.rest.post("/v1/auth:requestPasswordReset", json={"email": person.email})

    async def told() -> list[Any]:
        answer = await person.rest.get(WHY, params={"kind": "reset"}, headers=person.bearer)
        found: list[Any] = answer.json()["deliveries"]
        return found

    return str((await eventually(told))[0]["eventId"])


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


ENDPOINTS = "/v1/push/endpoints"
BROWSER = {
    "p256dh": "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
    "auth": "BTBZMqHH6r4Tts7J_aSIgg",
}
"""Keys of RFC 8291's example."""


async def _registered(person: Person, url: str = "") -> httpx.Response:
    body = {"url": url or f"https://push.example.net/{new_id('browser')}", **BROWSER}
    return await person.rest.post(ENDPOINTS, json=body, headers=person.bearer)


@STORIES.owns("endpoint")
async def _(person: Person) -> str:
    return str((await _registered(person)).json()["endpointId"])


@STORIES.provokes("RegisterEndpoint", "BAD_ENDPOINT")
async def _(scene: Scene) -> httpx.Response:
    return await _registered(await scene.somebody(), "https://192.168.0.1/send")


@STORIES.provokes("RegisterEndpoint", "TOO_MANY_ENDPOINTS")
async def _(scene: Scene) -> httpx.Response:
    person = await scene.somebody()
    for _ in range(ENDPOINTS_MOST):
        assert (await _registered(person)).status_code == 200
    return await _registered(person)


@STORIES.provokes("RegisterEndpoint", "ENDPOINT_TAKEN")
async def _(scene: Scene) -> httpx.Response:
    first, second = await scene.somebody(), await scene.somebody()
    url = f"https://push.example.net/{new_id('browser')}"
    assert (await _registered(first, url)).status_code == 200
    return await _registered(second, url)


@STORIES.provokes("RemoveEndpoint", "ENDPOINT_NOT_FOUND")
async def _(scene: Scene) -> httpx.Response:
    person = await scene.somebody()
    return await person.rest.delete(f"{ENDPOINTS}/{new_id('endpoint')}", headers=person.bearer)
