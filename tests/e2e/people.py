"""People who use a running stack over REST, as anybody outside would."""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import pyotp

from mesh.model import new_id
from tests.e2e.doors import Edge

Mails = Callable[[str], Awaitable[list[str]]]
"""The texts of all mails to an address, oldest first."""

PATIENCE = 60.0
"""Seconds to wait for something that comes by an event: more than the lease of one that died with a delivery."""


@dataclass
class Person:
    """Somebody with an address; `rest` comes from a client address of their own."""

    edge: Edge
    mails: Mails
    email: str = field(default_factory=lambda: f"{new_id('person')}@example.org")
    password: str = field(default_factory=lambda: secrets.token_urlsafe(18))
    tokens: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.rest: httpx.AsyncClient = self.edge.rest()

    @property
    def user_id(self) -> str:
        return str(self.tokens["userId"])

    @property
    def token(self) -> str:
        return str(self.tokens["accessToken"])

    @property
    def organisation_id(self) -> str:
        """That of the token."""
        return str(self.tokens["organisationId"])

    @property
    def bearer(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.token}"}

    async def post(self, path: str, body: object, signed_in: bool = False) -> dict[str, Any]:
        """The answer of a POST that must succeed."""
        answer = await self.rest.post(path, json=body, headers=self.bearer if signed_in else {})
        assert answer.status_code == 200, (path, answer.status_code, answer.text)
        return dict(answer.json())

    async def sign_up(self) -> None:
        await self.post("/v1/auth:signUp", {"email": self.email})

    async def verify(self) -> str:
        """Confirm the address and choose the password; the id of the new user."""
        body = {"token": await self.token_from_mail(), "password": self.password}
        return str((await self.post("/v1/auth:verifyEmail", body))["userId"])

    async def token_from_mail(self) -> str:
        """The token in the newest mail, which stands on a line of its own."""
        return _token(await self.newest_mail())

    async def newest_mail(self) -> str:
        async def arrived() -> str:
            found = await self.mails(self.email)
            return found[-1] if found else ""

        return str(await eventually(arrived))

    async def mail_after(self, action: Callable[[], Awaitable[Any]]) -> Any:
        """Do something that sends a mail, and wait for it; what it came to."""
        before = len(await self.mails(self.email))
        result = await action()

        async def arrived() -> bool:
            return len(await self.mails(self.email)) > before

        await eventually(arrived)
        return result

    async def log_in(self) -> dict[str, Any]:
        """LogIn's whole answer; tokens, if there are any, are kept."""
        answer = await self.post("/v1/auth:logIn", {"email": self.email, "password": self.password})
        self.tokens = answer.get("tokens", {})
        return answer

    async def return_(self) -> Person:
        """Log in anew, from another client address: the edge counts log-ins by it."""
        await self.rest.aclose()
        self.rest = self.edge.rest()
        await self.log_in()
        return self

    async def arrive(self) -> Person:
        """Sign up, confirm the address and log in."""
        await self.sign_up()
        await self.verify()
        await self.log_in()
        return self

    async def refresh(self) -> dict[str, Any]:
        """Refresh's whole answer, which is kept."""
        self.tokens = await self.post("/v1/auth:refresh", {"refreshToken": self.tokens["refreshToken"]})
        return self.tokens

    async def found(self, name: str = "Torres & Daughters") -> str:
        """Make an organisation; its id."""
        return str((await self.post("/v1/organisations", {"name": name}, signed_in=True))["organisationId"])

    async def switch(self, organisation_id: str) -> None:
        """Go on with a token for that organisation."""
        self.tokens |= await self.post(f"/v1/organisations/{organisation_id}:switch", {}, signed_in=True)

    async def invite(self, email: str, role: str) -> dict[str, Any]:
        """Invite an address into the organisation of the token."""
        return await self.post("/v1/organisation/invitations", {"email": email, "role": role}, signed_in=True)

    async def invited(self, by: Person, role: str) -> str:
        """Be invited by somebody into the organisation of their token; the token in the mail."""
        before = len(await self.invitations())
        await by.invite(self.email, role)

        async def arrived() -> list[str]:
            return (await self.invitations())[before:]

        return _token((await eventually(arrived))[-1])

    async def invitations(self) -> list[str]:
        """The mails that invite, oldest first: others may come in between."""
        return [mail for mail in await self.mails(self.email) if "/v1/invitations:accept" in mail]

    async def admit(self, person: Person, role: str) -> None:
        """Let somebody join the organisation of the token."""
        token = await person.invited(self, role)
        await person.post("/v1/invitations:accept", {"token": token}, signed_in=True)

    async def enrol_totp(self) -> pyotp.TOTP:
        """Switch the second factor on."""
        seed = await self.post("/v1/auth/totp:enroll", {"password": self.password}, signed_in=True)
        totp = pyotp.TOTP(seed["secret"])
        await self.post("/v1/auth/totp:confirm", {"totpCode": totp.now()}, signed_in=True)
        return totp


def _token(mail: str) -> str:
    return next(line for line in mail.splitlines() if re.fullmatch(r"[A-Za-z0-9_.-]{20,}", line))


async def eventually(attempt: Callable[[], Awaitable[Any]]) -> Any:
    """What `attempt` returns as soon as that is true. Raises: AssertionError after PATIENCE."""
    deadline = asyncio.get_running_loop().time() + PATIENCE
    while not (result := await attempt()):
        assert asyncio.get_running_loop().time() < deadline, "it never came true"
        await asyncio.sleep(0.05)
    return result


def next_code(totp: pyotp.TOTP) -> str:
    """A code that was not used yet: each is good once, and the next one is accepted early."""
    return str(totp.at(int(time.time()) + totp.interval))
