"""How each error that auth declares is provoked, and how a person comes by a session."""

from __future__ import annotations

from collections.abc import Mapping

import httpx
from tulle.auth.v1 import auth_pb2, contacts_pb2

from mesh.model import new_id
from tests.e2e.auth import api_keys, organisations, passkeys
from tests.e2e.people import Person, next_code
from tests.e2e.stories import Scene, Stories, again_and_again, post

TOKEN = "never-a-token-that-was-made"
WEAK = "aaaaaaaaaaaaaaaa"
WRONG = "not the password of anybody"
STORIES = Stories()


@STORIES.owns("session")
async def _(person: Person) -> str:
    return str(person.tokens["sessionId"])


STORIES.inside("CheckSession", "SESSION_ENDED", "users", auth_pb2.CheckSessionRequest(session_id=new_id("session")))
STORIES.inside(
    "AppointAdministrator",
    "ACCOUNT_NOT_FOUND",
    "operator",
    auth_pb2.AppointAdministratorRequest(email="nobody@example.org"),
)


STORIES.inside("GetMail", "MAIL_NOT_FOUND", "notifications", contacts_pb2.GetMailRequest(mail_id=new_id("mail")))
STORIES.inside(
    "GetContact", "ACCOUNT_NOT_FOUND", "notifications", contacts_pb2.GetContactRequest(user_id=new_id("user"))
)


@STORIES.provokes("VerifyEmail", "WEAK_PASSWORD")
async def _(scene: Scene) -> httpx.Response:
    person = scene.newcomer()
    await person.sign_up()
    return await post(person, "/v1/auth:verifyEmail", token=await person.token_from_mail(), password=WEAK)


@STORIES.provokes("ChangePassword", "WEAK_PASSWORD")
async def _(scene: Scene) -> httpx.Response:
    person = await scene.somebody()
    return await post(person, "/v1/auth:changePassword", password=person.password, newPassword=WEAK)


@STORIES.provokes("ResetPassword", "WEAK_PASSWORD")
async def _(scene: Scene) -> httpx.Response:
    person = await scene.somebody()
    await person.mail_after(lambda: person.post("/v1/auth:requestPasswordReset", {"email": person.email}))
    return await post(person, "/v1/auth:resetPassword", token=await person.token_from_mail(), newPassword=WEAK)


@STORIES.provokes("ResetPassword", "BAD_TOKEN")
async def _(scene: Scene) -> httpx.Response:
    person = scene.newcomer()
    return await post(person, "/v1/auth:resetPassword", token=TOKEN, newPassword=person.password)


@STORIES.provokes("VerifyEmail", "BAD_TOKEN")
async def _(scene: Scene) -> httpx.Response:
    person = scene.newcomer()
    return await post(person, "/v1/auth:verifyEmail", token=TOKEN, password=person.password)


@STORIES.provokes("LogIn", "BAD_CREDENTIALS")
async def _(scene: Scene) -> httpx.Response:
    person = await scene.somebody()
    return await post(person, "/v1/auth:logIn", email=person.email, password=WRONG)


@STORIES.provokes("LogIn", "TOO_MANY_ATTEMPTS")
async def _(scene: Scene) -> httpx.Response:
    person = scene.newcomer()
    return await again_and_again(person, "/v1/auth:logIn", email=person.email, password=WRONG)


async def _challenged(scene: Scene) -> tuple[Person, str]:
    person, _ = await scene.guarded()
    return person, str((await person.log_in())["challenge"]["challengeToken"])


@STORIES.provokes("CompleteSecondFactor", "BAD_CHALLENGE")
async def _(scene: Scene) -> httpx.Response:
    return await post(scene.newcomer(), COMPLETE, challengeToken=TOKEN, totpCode="000000")


@STORIES.provokes("CompleteSecondFactor", "BAD_CODE")
async def _(scene: Scene) -> httpx.Response:
    person, challenge = await _challenged(scene)
    return await post(person, COMPLETE, challengeToken=challenge, recoveryCode="AAAA-AAAA-AAAA-AAAA")


@STORIES.provokes("CompleteSecondFactor", "TOO_MANY_ATTEMPTS")
async def _(scene: Scene) -> httpx.Response:
    person, challenge = await _challenged(scene)
    return await again_and_again(person, COMPLETE, challengeToken=challenge, recoveryCode="AAAA-AAAA-AAAA-AAAA")


COMPLETE = "/v1/auth:completeSecondFactor"


@STORIES.provokes("Refresh", "BAD_REFRESH_TOKEN")
async def _(scene: Scene) -> httpx.Response:
    return await post(scene.newcomer(), "/v1/auth:refresh", refreshToken=TOKEN)


@STORIES.provokes("Refresh", "REFRESH_TOKEN_REUSED")
async def _(scene: Scene) -> httpx.Response:
    person = await scene.somebody()
    first = {"refreshToken": person.tokens["refreshToken"]}
    second = await person.post("/v1/auth:refresh", first)
    await person.post("/v1/auth:refresh", {"refreshToken": second["refreshToken"]})
    return await post(person, "/v1/auth:refresh", **first)


@STORIES.provokes("RevokeSession", "SESSION_NOT_FOUND")
async def _(scene: Scene) -> httpx.Response:
    person = await scene.somebody()
    return await person.rest.delete(f"/v1/auth/sessions/{new_id('session')}", headers=person.bearer)


# Methods that ask for the password, and perhaps a code, once more.
ONCE_MORE: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "ChangePassword": ("/v1/auth:changePassword", {"newPassword": "entirely another passphrase"}),
    "EnrollTotp": ("/v1/auth/totp:enroll", {}),
    "DisableTotp": ("/v1/auth/totp:disable", {"code": "000000"}),
    "RegenerateRecoveryCodes": ("/v1/auth/totp:regenerateRecoveryCodes", {"code": "000000"}),
}


def _wrong_password(method: str, path: str, more: Mapping[str, str]) -> None:
    @STORIES.provokes(method, "BAD_CREDENTIALS")
    async def once(scene: Scene) -> httpx.Response:
        return await post(await scene.somebody(), path, password=WRONG, **more)

    @STORIES.provokes(method, "TOO_MANY_ATTEMPTS")
    async def often(scene: Scene) -> httpx.Response:
        return await again_and_again(await scene.somebody(), path, password=WRONG, **more)


for _method, (_path, _more) in ONCE_MORE.items():
    _wrong_password(_method, _path, _more)


def _wrong_code(method: str) -> None:
    @STORIES.provokes(method, "BAD_CODE")
    async def story(scene: Scene) -> httpx.Response:
        person, _ = await scene.guarded()
        path, more = ONCE_MORE[method]
        return await post(person, path, **{**more, "password": person.password, "code": "AAAA-AAAA-AAAA-AAAA"})


for _method in ("ChangePassword", "DisableTotp", "RegenerateRecoveryCodes"):
    _wrong_code(_method)


def _not_enrolled(method: str) -> None:
    @STORIES.provokes(method, "TOTP_NOT_ENROLLED")
    async def story(scene: Scene) -> httpx.Response:
        person = await scene.somebody()
        path, more = ONCE_MORE[method]
        return await post(person, path, password=person.password, **more)


for _method in ("DisableTotp", "RegenerateRecoveryCodes"):
    _not_enrolled(_method)


@STORIES.provokes("EnrollTotp", "TOTP_ALREADY_ENROLLED")
async def _(scene: Scene) -> httpx.Response:
    person, _ = await scene.guarded()
    return await post(person, "/v1/auth/totp:enroll", password=person.password)


@STORIES.provokes("DisableTotp", "PASSWORD_TOO_SHORT")
async def _(scene: Scene) -> httpx.Response:
    person, totp = await scene.guarded()
    short = "blue-glass"
    body = {"password": person.password, "newPassword": short, "code": next_code(totp)}
    await person.post("/v1/auth:changePassword", body, signed_in=True)
    return await post(person, "/v1/auth/totp:disable", password=short, code="000000")


CONFIRM = "/v1/auth/totp:confirm"


@STORIES.provokes("ConfirmTotp", "TOTP_NOT_ENROLLED")
async def _(scene: Scene) -> httpx.Response:
    return await post(await scene.somebody(), CONFIRM, totpCode="000000")


async def _seeded(scene: Scene) -> Person:
    person = await scene.somebody()
    await person.post("/v1/auth/totp:enroll", {"password": person.password}, signed_in=True)
    return person


@STORIES.provokes("ConfirmTotp", "BAD_CODE")
async def _(scene: Scene) -> httpx.Response:
    return await post(await _seeded(scene), CONFIRM, totpCode="000000")


@STORIES.provokes("ConfirmTotp", "TOO_MANY_ATTEMPTS")
async def _(scene: Scene) -> httpx.Response:
    return await again_and_again(await _seeded(scene), CONFIRM, totpCode="000000")


def _no_account(method: str, verb: str) -> None:
    @STORIES.provokes(method, "ACCOUNT_NOT_FOUND")
    async def story(scene: Scene) -> httpx.Response:
        path = f"/v1/auth/accounts/{new_id('user')}:{verb}"
        return await post(await scene.administrator(), path, role="ROLE_ADMINISTRATOR")


_no_account("GrantRole", "grantRole")
_no_account("RevokeRole", "revokeRole")


@STORIES.provokes("RevokeRole", "LAST_ADMINISTRATOR")
async def _(scene: Scene) -> httpx.Response:
    person = await scene.administrator()
    return await post(person, f"/v1/auth/accounts/{person.user_id}:revokeRole", role="ROLE_ADMINISTRATOR")


organisations.tell(STORIES)
passkeys.tell(STORIES)
api_keys.tell(STORIES)
