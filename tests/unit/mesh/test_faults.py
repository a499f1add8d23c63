"""A fault while deciding denies: when a part that decides breaks, in whatever way, the handler is not reached."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from mesh import contract, identity, policy, validation
from mesh.model import Error, User
from tests.unit.mesh.echo import ADA, Credentials, Echo, ask, sign_up

STRICT = {"end_user": contract.REQUIRED, "fresh": True, "roles": frozenset({"checked"})}
FAULTS = (RuntimeError("broken"), KeyError("kid"), OSError("no socket"), TimeoutError(), AssertionError())
each_fault = pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: type(fault).__name__)


@dataclass
class Broken(Credentials):
    """Fails where it is told to."""

    tokens: BaseException | None = None
    sessions: BaseException | None = None

    async def verify(self, token: str) -> tuple[User, float]:
        if self.tokens:
            raise self.tokens
        return await super().verify(token)

    async def check(self, user: User) -> User:
        if self.sessions:
            raise self.sessions
        return await super().check(user)


async def refused(echo: Echo, **metadata: Any) -> None:
    with pytest.raises(Error):
        await echo.stub(ADA, **metadata).Echo(ask())
    with pytest.raises(Error):
        async for _ in echo.stub(ADA, **metadata).Repeat(ask()):
            pass
    assert echo.servicer.calls == []


async def test_nothing_broken_passes() -> None:
    """The calls of these tests are answered when nothing is broken."""
    echo = Echo(policy=STRICT, credentials=Broken())
    await echo.stub(ADA).Echo(ask())
    assert len(echo.servicer.calls) == 1


@each_fault
async def test_tokens_that_cannot_be_judged_are_not_good(fault: Exception) -> None:
    """A verifier that breaks lets nobody in."""
    await refused(Echo(policy=STRICT, credentials=Broken(tokens=fault)))


@each_fault
async def test_sessions_that_cannot_be_asked_for_have_not_been_checked(fault: Exception) -> None:
    """A fresh method whose check of the session breaks is not served from the token alone."""
    await refused(Echo(policy=STRICT, credentials=Broken(sessions=fault)))


@each_fault
@pytest.mark.parametrize("step", [(identity, "known"), (policy, "caller"), (policy, "end_user"), (validation, "valid")])
async def test_a_step_that_breaks_lets_nothing_through(
    monkeypatch: pytest.MonkeyPatch, step: tuple[Any, str], fault: Exception
) -> None:
    """Whichever step of the pipeline fails, the steps after it do not run."""

    def breaking(method: object, proceed: object) -> Any:
        async def run(request: object, call: object) -> bytes:
            raise fault

        return run

    monkeypatch.setattr(*step, breaking)
    await refused(Echo(policy=STRICT, credentials=Broken()))


@each_fault
async def test_requests_that_cannot_be_told_apart_are_not_run(fault: Exception) -> None:
    """With a request id and a memory that breaks, nothing is done that might be done twice."""

    class Memory:
        async def once(self, *_: object, **__: object) -> bytes:
            raise fault

    echo = Echo(idempotency=Memory())
    with pytest.raises(Error):
        await echo.stub().Once(sign_up("3b241101-e2bb-4255-8caf-4136c566a962"))
    assert echo.servicer.calls == []
