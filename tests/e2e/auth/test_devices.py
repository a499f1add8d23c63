"""The mail about a log-in from elsewhere, on a running stack."""

from __future__ import annotations

from tests.e2e.people import Person, eventually


async def test_a_log_in_with_a_new_device_is_told_by_mail(somebody: Person) -> None:
    """The first device brings none, another label brings one that names it, the same again brings none."""

    async def log_in(device: str) -> None:
        body = {"email": somebody.email, "password": somebody.password, "device": device}
        await somebody.post("/v1/auth:logIn", body)

    async def told(times: int) -> list[str]:
        found = [mail for mail in await somebody.mails(somebody.email) if "logged in" in mail]
        return found if len(found) >= times else []

    await log_in("Ada's tablet")
    (mail,) = await eventually(lambda: told(1))
    assert "“Ada's tablet”" in mail
    assert "(UTC)" in mail
    for device in ("Ada's tablet", "", "Ada's watch"):
        await log_in(device)
    # What the earlier ones had wanted would have been on its way before.
    mails = await eventually(lambda: told(2))
    assert ["watch" in mail for mail in mails] == [False, True]
