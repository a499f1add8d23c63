"""Passkeys of people who use a running stack, and how each error about passkeys is provoked."""

from __future__ import annotations

import json

import httpx

from mesh.model import new_id
from services.auth.domain.passkeys import MOST_PASSKEYS
from tests.e2e.people import Person
from tests.e2e.stories import Scene, Stories, again_and_again, post
from tests.fakes.authenticator import Authenticator

PASSKEYS = "/v1/auth/passkeys"
BEGIN, FINISH = f"{PASSKEYS}:beginRegistration", f"{PASSKEYS}:finishRegistration"
WRONG = "not the password of anybody"
WRONG_CODE = "AAAA-AAAA-AAAA-AAAA"
EXAMPLE = "correct horse battery staple"
"""The password in the contract's examples, with which requests are made from them."""


def device_of(person: Person) -> Authenticator:
    """A device on which the person uses this stack."""
    return Authenticator(str(person.rest.base_url).rstrip("/"))


async def add_passkey(person: Person, device: Authenticator) -> str:
    """Its id."""
    options = await person.post(BEGIN, {"password": person.password}, signed_in=True)
    body = {"credential": device.create(options["options"]), "name": "phone"}
    return str((await person.post(FINISH, body, signed_in=True))["passkeyId"])


async def log_in(person: Person, device: Authenticator) -> httpx.Response:
    options = await person.post(f"{PASSKEYS}:beginLogIn", {})
    return await person.rest.post(f"{PASSKEYS}:finishLogIn", json={"credential": device.get(options["options"])})


async def own_passkey(person: Person) -> str:
    body = {"password": person.password, "newPassword": EXAMPLE}
    await person.post("/v1/auth:changePassword", body, signed_in=True)
    person.password = EXAMPLE
    return await add_passkey(person, device_of(person))


async def removable(scene: Scene) -> tuple[Person, str]:
    """Somebody, and the path on which they remove a passkey."""
    person = await scene.somebody()
    return person, f"{PASSKEYS}/{await add_passkey(person, device_of(person))}:remove"


def tell(stories: Stories) -> None:
    """Add what is told of passkeys."""
    stories.owns("passkey")(own_passkey)
    _tell_of_registration(stories)
    _tell_of_removal(stories)
    _tell_of_the_rest(stories)


def _tell_of_registration(stories: Stories) -> None:
    @stories.provokes("BeginPasskeyRegistration", "BAD_CREDENTIALS")
    async def wrong(scene: Scene) -> httpx.Response:
        return await post(await scene.somebody(), BEGIN, password=WRONG)

    @stories.provokes("BeginPasskeyRegistration", "TOO_MANY_ATTEMPTS")
    async def often(scene: Scene) -> httpx.Response:
        return await again_and_again(await scene.somebody(), BEGIN, password=WRONG)

    @stories.provokes("BeginPasskeyRegistration", "BAD_CODE")
    async def code(scene: Scene) -> httpx.Response:
        person, _ = await scene.guarded()
        return await post(person, BEGIN, password=person.password, code=WRONG_CODE)

    @stories.provokes("BeginPasskeyRegistration", "TOO_MANY_PASSKEYS")
    async def many(scene: Scene) -> httpx.Response:
        person = await scene.somebody()
        for _ in range(MOST_PASSKEYS):
            await add_passkey(person, device_of(person))
        return await post(person, BEGIN, password=person.password)

    @stories.provokes("FinishPasskeyRegistration", "BAD_REGISTRATION")
    async def made_up(scene: Scene) -> httpx.Response:
        person = await scene.somebody()
        options = await person.post(BEGIN, {"password": person.password}, signed_in=True)
        elsewhere = Authenticator("https://elsewhere.example.org")
        return await post(person, FINISH, credential=elsewhere.create(options["options"]), name="phone")


def _tell_of_removal(stories: Stories) -> None:
    @stories.provokes("RemovePasskey", "BAD_CREDENTIALS")
    async def wrong(scene: Scene) -> httpx.Response:
        person, path = await removable(scene)
        return await post(person, path, password=WRONG)

    @stories.provokes("RemovePasskey", "TOO_MANY_ATTEMPTS")
    async def often(scene: Scene) -> httpx.Response:
        person, path = await removable(scene)
        return await again_and_again(person, path, password=WRONG)

    @stories.provokes("RemovePasskey", "BAD_CODE")
    async def code(scene: Scene) -> httpx.Response:
        person, path = await removable(scene)
        await person.enrol_totp()
        return await post(person, path, password=person.password, code=WRONG_CODE)

    @stories.provokes("RemovePasskey", "PASSKEY_NOT_FOUND")
    async def none(scene: Scene) -> httpx.Response:
        person = await scene.somebody()
        return await post(person, f"{PASSKEYS}/{new_id('passkey')}:remove", password=person.password)


def _tell_of_the_rest(stories: Stories) -> None:
    @stories.provokes("RenamePasskey", "PASSKEY_NOT_FOUND")
    async def none(scene: Scene) -> httpx.Response:
        return await post(await scene.somebody(), f"{PASSKEYS}/{new_id('passkey')}:rename", name="mine")

    @stories.provokes("FinishPasskeyLogIn", "BAD_PASSKEY")
    async def unknown(scene: Scene) -> httpx.Response:
        person = scene.newcomer()
        device = device_of(person)
        device.create(json.dumps({"rp": {"id": ""}, "user": {"id": "bm9ib2R5"}, "challenge": ""}))
        return await log_in(person, device)
