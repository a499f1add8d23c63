"""How each error about API keys is provoked, and how a person comes by a key."""

from __future__ import annotations

import httpx

from mesh.model import new_id
from services.auth.domain.api_keys import MOST_API_KEYS
from tests.e2e.api_keys import API_KEYS, EXCHANGE, make_key
from tests.e2e.auth.passkeys import EXAMPLE, WRONG, WRONG_CODE
from tests.e2e.people import Person
from tests.e2e.stories import Scene, Stories, again_and_again, post

ONE = {"name": "nightly export", "scopes": ["billing.read"]}
PAST = "2026-01-31T12:00:00Z"


async def own_key(person: Person) -> str:
    """Its id. The person's password becomes that of the contract's examples, with which a rotation is asked for."""
    body = {"password": person.password, "newPassword": EXAMPLE}
    if person.password != EXAMPLE:
        await person.post("/v1/auth:changePassword", body, signed_in=True)
        person.password = EXAMPLE
    return str((await make_key(person, "billing.read"))["apiKey"]["apiKeyId"])


async def rotatable(scene: Scene) -> tuple[Person, str]:
    """Somebody, and the path on which they rotate a key."""
    person = await scene.somebody()
    made = await make_key(person, "billing.read")
    return person, f"{API_KEYS}/{made['apiKey']['apiKeyId']}:rotate"


def tell(stories: Stories) -> None:
    """Add what is told of API keys."""
    stories.owns("key")(own_key)
    _tell_of_making(stories)
    _tell_of_rotating(stories)
    _tell_of_the_rest(stories)


def _tell_of_making(stories: Stories) -> None:
    @stories.provokes("CreateApiKey", "BAD_CREDENTIALS")
    async def wrong(scene: Scene) -> httpx.Response:
        return await post(await scene.somebody(), API_KEYS, password=WRONG, **ONE)

    @stories.provokes("CreateApiKey", "TOO_MANY_ATTEMPTS")
    async def often(scene: Scene) -> httpx.Response:
        return await again_and_again(await scene.somebody(), API_KEYS, password=WRONG, **ONE)

    @stories.provokes("CreateApiKey", "BAD_CODE")
    async def code(scene: Scene) -> httpx.Response:
        person, _ = await scene.guarded()
        return await post(person, API_KEYS, password=person.password, code=WRONG_CODE, **ONE)

    @stories.provokes("CreateApiKey", "UNKNOWN_SCOPE")
    async def scope(scene: Scene) -> httpx.Response:
        person = await scene.somebody()
        return await post(person, API_KEYS, password=person.password, **{**ONE, "scopes": ["users.everything"]})

    @stories.provokes("CreateApiKey", "BAD_EXPIRE_TIME")
    async def past(scene: Scene) -> httpx.Response:
        person = await scene.somebody()
        return await post(person, API_KEYS, password=person.password, expireTime=PAST, **ONE)

    @stories.provokes("CreateApiKey", "TOO_MANY_API_KEYS")
    async def many(scene: Scene) -> httpx.Response:
        person = await scene.somebody()
        for _ in range(MOST_API_KEYS):
            answer = await post(person, API_KEYS, password=person.password, **ONE)
            assert answer.status_code == 200, answer.text
        return await post(person, API_KEYS, password=person.password, **ONE)


def _tell_of_rotating(stories: Stories) -> None:
    @stories.provokes("RotateApiKey", "BAD_CREDENTIALS")
    async def wrong(scene: Scene) -> httpx.Response:
        person, path = await rotatable(scene)
        return await post(person, path, password=WRONG)

    @stories.provokes("RotateApiKey", "TOO_MANY_ATTEMPTS")
    async def often(scene: Scene) -> httpx.Response:
        person, path = await rotatable(scene)
        return await again_and_again(person, path, password=WRONG)

    @stories.provokes("RotateApiKey", "BAD_CODE")
    async def code(scene: Scene) -> httpx.Response:
        person, path = await rotatable(scene)
        await person.enrol_totp()
        return await post(person, path, password=person.password, code=WRONG_CODE)

    @stories.provokes("RotateApiKey", "BAD_EXPIRE_TIME")
    async def past(scene: Scene) -> httpx.Response:
        person, path = await rotatable(scene)
        return await post(person, path, password=person.password, expireTime=PAST)

    @stories.provokes("RotateApiKey", "API_KEY_NOT_FOUND")
    async def none(scene: Scene) -> httpx.Response:
        person = await scene.somebody()
        return await post(person, f"{API_KEYS}/{new_id('apikey')}:rotate", password=person.password)


def _tell_of_the_rest(stories: Stories) -> None:
    @stories.provokes("RevokeApiKey", "API_KEY_NOT_FOUND")
    async def none(scene: Scene) -> httpx.Response:
        person = await scene.somebody()
        return await person.rest.delete(f"{API_KEYS}/{new_id('apikey')}", headers=person.bearer)

    @stories.provokes("ExchangeApiKey", "BAD_API_KEY")
    async def unknown(scene: Scene) -> httpx.Response:
        return await post(scene.newcomer(), EXCHANGE, apiKey=f"tulle_{new_id('apikey')}.{'A' * 43}")
