"""Sessions, as their owner and as others meet them."""

from __future__ import annotations

from tests.e2e.people import Person, next_code
from tests.e2e.rest import refusal


async def test_logging_out_takes_effect(somebody: Person) -> None:
    """After log-out nothing is refreshed, and what asks auth afresh is refused at once."""
    await somebody.post("/v1/auth:logOut", {}, signed_in=True)
    listed = await somebody.rest.get("/v1/auth/sessions", headers=somebody.bearer)
    assert refusal(listed) == (401, "SESSION_ENDED")
    again = await somebody.rest.post("/v1/auth:refresh", json={"refreshToken": somebody.tokens["refreshToken"]})
    assert again.status_code == 401


async def test_a_refresh_token_is_good_once(somebody: Person) -> None:
    """Using a refresh token whose successor was used ends the session: one of the two was stolen."""
    first = {"refreshToken": somebody.tokens["refreshToken"]}
    second = await somebody.post("/v1/auth:refresh", first)
    third = await somebody.post("/v1/auth:refresh", {"refreshToken": second["refreshToken"]})
    replayed = await somebody.rest.post("/v1/auth:refresh", json=first)
    assert refusal(replayed) == (401, "REFRESH_TOKEN_REUSED")
    ended = await somebody.rest.post("/v1/auth:refresh", json={"refreshToken": third["refreshToken"]})
    assert ended.status_code == 401


async def test_nobody_ends_the_session_of_another(somebody: Person, another: Person) -> None:
    """Another's session is as if it were not there, and lives on."""
    session = somebody.tokens["sessionId"]
    refused = await another.rest.delete(f"/v1/auth/sessions/{session}", headers=another.bearer)
    assert refusal(refused) == (404, "SESSION_NOT_FOUND")
    listed = await somebody.rest.get("/v1/auth/sessions", headers=somebody.bearer)
    assert [one["sessionId"] for one in listed.json()["sessions"]] == [session]


async def test_a_reset_does_not_skip_the_second_factor(somebody: Person) -> None:
    """Who resets the password by mail still needs the device, and every old session has ended."""
    totp = await somebody.mail_after(somebody.enrol_totp)
    await somebody.mail_after(lambda: somebody.post("/v1/auth:requestPasswordReset", {"email": somebody.email}))
    somebody.password = "an entirely new passphrase"
    token = await somebody.token_from_mail()
    old = somebody.bearer
    await somebody.post("/v1/auth:resetPassword", {"token": token, "newPassword": somebody.password})
    assert (await somebody.rest.get("/v1/auth/sessions", headers=old)).status_code == 401
    challenge = (await somebody.log_in())["challenge"]["challengeToken"]
    body = {"challengeToken": challenge, "totpCode": next_code(totp)}
    assert (await somebody.post("/v1/auth:completeSecondFactor", body))["userId"]
