"""What the platform writes down about people."""

from __future__ import annotations

from tests.e2e.api_keys import exchange, exchanged, make_key, rotate_key
from tests.e2e.people import Person, eventually
from tests.e2e.stacks import Stack


async def test_no_log_knows_a_secret(stack: Stack, somebody: Person) -> None:
    """No log of any process holds a password, a token, a seed, an address or a name."""
    key = str((await make_key(somebody, "users.read", name="Augusta's export"))["secret"])
    by_key = await exchanged(somebody, key)
    rotated = await rotate_key(somebody, key.removeprefix("tulle_").partition(".")[0])
    assert (await exchange(somebody, f"{key[:-4]}AAAA")).status_code == 401
    assert (await somebody.rest.get("/v1/users/me", headers={"authorization": f"Bearer {by_key}"})).status_code == 200
    totp = await somebody.enrol_totp()
    name = {"displayName": "Augusta of Nowhere", "handle": f"h{somebody.user_id[-12:]}"}
    answer = await somebody.rest.patch("/v1/users/me", json=name, headers=somebody.bearer)
    assert answer.status_code == 200, answer.text
    refused = await somebody.rest.post("/v1/auth:logIn", json={"email": somebody.email, "password": "not this one"})
    assert refused.status_code == 401
    secrets = [
        somebody.email,
        somebody.password,
        somebody.token.split(".")[2],
        somebody.tokens["refreshToken"],
        totp.secret,
        name["displayName"],
        "not this one",
        key.partition(".")[2][:-4],
        rotated["secret"].partition(".")[2],
        by_key.split(".")[2],
        "Augusta's export",
    ]

    async def written() -> bool:
        return somebody.user_id in (stack.layout.data / "logs" / "users.log").read_text()

    await eventually(written)  # lines are written in batches
    logs = {log.name: log.read_text(errors="replace") for log in (stack.layout.data / "logs").glob("*.log")}
    found = [(log, secret) for log, text in logs.items() for secret in secrets if secret in text]
    assert found == []
