"""Somebody who uses the platform while it is harmed: notes what they did and what they were told."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import uuid
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import httpx

from faults.journal import NO_ANSWER, Journal, Operation
from faults.site import Site
from mesh.model import new_id

AUTH, USERS = "/tulle.auth.v1.AuthService", "/tulle.users.v1.UsersService"
INBOX = "/tulle.notifications.v1.InboxService"
OK = 200
MAIL_WITHIN = 40.0
"""Seconds for which people wait for a mail: more than a sender's lease."""
HANGS = 60.0
"""Seconds after which a client takes an answer for lost."""
_addresses = (f"127.{100 + n // 60000}.{n // 250 % 240}.{n % 250 + 2}" for n in itertools.count())


INSISTS = 60.0
"""Seconds for which people try again what the platform cannot do at the moment."""


class GaveUp(Exception):
    """Somebody stopped waiting; whether something was lost, the checker says."""


@dataclass
class Person:
    """Somebody with an address, a client of their own and a chance of their own."""

    site: Site
    journal: Journal
    chance: random.Random
    name: str = field(default_factory=lambda: new_id("person"))
    tokens: dict[str, Any] = field(default_factory=dict)
    spent: list[str] = field(default_factory=list)
    """Refresh tokens whose successors have been used too."""
    changes: int = 0
    subscription: str = ""
    unpaid: str = ""
    """The invoice that is open, as far as they know."""

    def __post_init__(self) -> None:
        transport = httpx.AsyncHTTPTransport(local_address=next(_addresses), verify=False)
        self.client = httpx.AsyncClient(base_url=self.site.url, transport=transport, timeout=HANGS)
        self.password = self.journal.secret(f"correct horse {self.chance.getrandbits(64):x}")

    @property
    def email(self) -> str:
        return f"{self.name}@example.org"

    async def do(self, method: str, verb: str, path: str, body: object = None, **facts: Any) -> httpx.Response | None:
        """One operation, noted; None if its answer was lost."""
        bearer = facts.pop("bearer", self.tokens.get("accessToken", ""))
        headers = {"authorization": f"Bearer {bearer}"} if bearer else {}
        begin = self.journal.now()
        answer: httpx.Response | None = None
        with contextlib.suppress(httpx.TransportError):
            answer = await self.client.request(verb, path, json=body, headers=headers)
        status = answer.status_code if answer is not None else NO_ANSWER
        self.journal.note(Operation(self.name, method, begin, self.journal.now(), status, facts))
        return answer

    def told(self, what: str, **facts: Any) -> None:
        """Note what an answer said."""
        now = self.journal.now()
        self.journal.note(Operation(self.name, what, now, now, OK, facts))

    async def insist(self, once: Callable[[], Coroutine[Any, Any, httpx.Response | None]]) -> httpx.Response:
        """The first answer that is about the request and not about the platform's health. Raises: GaveUp."""
        until = self.journal.now() + INSISTS
        while self.journal.now() < until:
            answer = await once()
            if answer is not None and answer.status_code < 500 and answer.status_code != 429:
                return answer
            await asyncio.sleep(self.chance.uniform(0.1, 0.5))
        self.told("gave up")
        raise GaveUp

    async def arrive(self) -> None:
        """Sign up, as often as it takes; confirm the address; log in."""
        request_id = str(uuid.UUID(int=self.chance.getrandbits(128), version=4))
        body = {"email": self.email, "requestId": request_id}
        facts = {"request_id": request_id, "email": self.email}
        await self.insist(lambda: self.do(f"{AUTH}/SignUp", "POST", "/v1/auth:signUp", body, **facts))
        if self.chance.random() < 0.5:
            await self.do(f"{AUTH}/SignUp", "POST", "/v1/auth:signUp", body, **facts)
        if self.chance.random() < 0.3:
            other = {"email": f"other-{self.email}", "requestId": request_id}
            await self.do(f"{AUTH}/SignUp", "POST", "/v1/auth:signUp", other, request_id=request_id, other=True)
        await self._verify(await self._mailed())
        await self.log_in()

    async def _mailed(self) -> str:
        """The token of the mail. Raises: GaveUp if it does not come."""
        until = self.journal.now() + MAIL_WITHIN
        while self.journal.now() < until:
            for mail in self.site.mailbox.mails(self.email):
                return self.journal.secret(next(line for line in mail.text.splitlines() if line[:5] == "mail_"))
            await asyncio.sleep(0.3)
        raise GaveUp

    async def _verify(self, token: str) -> None:
        body = {"token": token, "password": self.password}
        await self.insist(lambda: self.do(f"{AUTH}/VerifyEmail", "POST", "/v1/auth:verifyEmail", body))

    async def log_in(self) -> None:
        """Begin a session."""
        body = {"email": self.email, "password": self.password}
        answer = await self.insist(lambda: self.do(f"{AUTH}/LogIn", "POST", "/v1/auth:logIn", body, bearer=""))
        self._hold(answer.json()["tokens"])
        self.spent = []

    def _hold(self, tokens: dict[str, Any]) -> None:
        self.tokens = tokens
        self.journal.secret(tokens["accessToken"])
        self.journal.secret(tokens["refreshToken"])

    async def change(self) -> None:
        """Change the profile to what it never was."""
        self.changes += 1
        name = f"{self.name[-8:]}-{self.changes}"
        body = {"displayName": name}
        await self.do(f"{USERS}/UpdateProfile", "PATCH", "/v1/users/me", body, display_name=name)

    async def read(self) -> None:
        """Read the profile."""
        answer = await self.do(f"{USERS}/GetProfile", "GET", "/v1/users/me")
        if answer is not None and answer.status_code == 401:
            await self.refresh()

    async def look(self) -> None:
        """Look into the inbox."""
        answer = await self.do(f"{INBOX}/ListMessages", "GET", "/v1/inbox/messages?pageSize=200")
        if answer is not None and answer.status_code == OK:
            self.told("inbox", numbers=[int(one["number"]) for one in answer.json()["messages"]])

    async def refresh(self) -> None:
        """Exchange the refresh token; an answer that was lost is asked for again."""
        token = self.tokens["refreshToken"]
        answer = await self.insist(lambda: self._refresh(token, "current"))
        if answer.status_code == OK:
            self._spend(token, answer)
        else:
            await self.log_in()

    async def lose_an_answer(self) -> None:
        """Exchange the refresh token twice, as if the first answer had been lost."""
        token = self.tokens["refreshToken"]
        first = await self._refresh(token, "current")
        answer = await self.insist(lambda: self._refresh(token, "again"))
        if answer.status_code != OK:
            await self.log_in()
            return
        both = [one.json()["refreshToken"] for one in (first, answer) if one is not None and one.status_code == OK]
        self.told("same successor", same=len(set(both)) == 1)
        self._spend(token, answer)

    def _spend(self, token: str, answer: httpx.Response) -> None:
        self.spent.append(token)
        self._hold(answer.json())

    async def reuse(self) -> None:
        """Present a refresh token whose successor has been used: it must fail, and end the session."""
        if len(self.spent) < 2:
            return
        answer = await self.insist(lambda: self._refresh(self.spent[-2], "spent"))
        if answer.status_code != OK:
            await self.insist(lambda: self._refresh(self.tokens["refreshToken"], "revoked"))
        await self.log_in()

    async def _refresh(self, token: str, which: str) -> httpx.Response | None:
        body = {"refreshToken": token}
        return await self.do(f"{AUTH}/Refresh", "POST", "/v1/auth:refresh", body, which=which, bearer="")

    async def intrude(self) -> None:
        """Ask without a right to."""
        bearer = self.chance.choice(("", "nonsense", self.tokens["accessToken"][:-2] + "xx"))
        await self.do(f"{USERS}/GetProfile", "GET", "/v1/users/me", bearer=bearer, intruder=True)

    async def leave(self) -> None:
        """Log out; the refresh token is worth nothing afterwards."""
        answer = await self.do(f"{AUTH}/LogOut", "POST", "/v1/auth:logOut", {})
        if answer is not None and answer.status_code == OK:
            await self.insist(lambda: self._refresh(self.tokens["refreshToken"], "revoked"))
        await self.log_in()
