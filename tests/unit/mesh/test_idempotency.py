"""What the pipeline asks of the idempotency port."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from mesh.contract import REQUIRED
from tests.unit.mesh.echo import ADA, Echo, ask, sign_up

FIRST, SECOND = (str(uuid.UUID(int=number, version=4)) for number in (1, 2))


@dataclass
class Port:
    """Remembers all that it was asked."""

    asked: list[tuple[str, str, str, bytes, bool]] = field(default_factory=list)
    answers: dict[str, bytes] = field(default_factory=dict)

    async def once(
        self,
        principal: str,
        method: str,
        request_id: str,
        digest: bytes,
        run: Callable[[], Awaitable[bytes]],
        keep: bool,
    ) -> bytes:
        self.asked.append((principal, method, request_id, digest, keep))
        if request_id not in self.answers:
            self.answers[request_id] = await run()
        return self.answers[request_id]


async def test_a_repeated_request_has_one_effect_and_one_answer() -> None:
    """The handler runs once for a request id; the second answer is the first one's."""
    echo = Echo(idempotency=Port())
    answers = [await echo.stub().Once(sign_up(FIRST)) for _ in range(3)]
    assert len(echo.servicer.calls) == 1
    assert answers[0] == answers[1] == answers[2]
    assert (await echo.stub().Once(sign_up(SECOND))).display_name == "2"


async def test_the_key_is_the_principals() -> None:
    """The port is told who asks, for which method, and what: another body is another hash."""
    port = Port()
    echo = Echo(idempotency=port)
    await echo.stub().Once(sign_up(FIRST))
    changed = sign_up(FIRST)
    changed.email = "bob@example.com"
    await echo.stub().Once(changed)
    (one, other) = port.asked
    assert one[:3] == ("workload:gateway", "/tulle.echo.v1.EchoService/Once", FIRST)
    assert one[3] != other[3]


async def test_an_answer_is_of_the_organisation_in_which_it_was_asked_for() -> None:
    """No request names the organisation that it is for, its token does: the same words in another one ask for more."""
    port = Port()
    echo = Echo(idempotency=port, policy={"end_user": REQUIRED})
    for organisation_id in ("one", "other", "one"):
        echo.credentials.organisation_id = organisation_id
        await echo.stub(token=ADA).Once(sign_up(FIRST))
    first, elsewhere, again = (digest for *_, digest, _ in port.asked)
    assert first == again != elsewhere


async def test_credentials_are_not_kept() -> None:
    """The answer of a method that returns a secret is not to be kept."""
    for secret in (True, False):
        port = Port()
        await Echo(idempotency=port, policy={"returns_secret": secret, "request_id": True}).stub().Once(sign_up(FIRST))
        assert port.asked[0][4] is not secret


async def test_without_a_request_id_nothing_is_remembered() -> None:
    """A request without an id, a method without one and a service without the port just run."""
    port = Port()
    echo = Echo(idempotency=port)
    await echo.stub().Once(sign_up())
    await echo.stub().Echo(ask())
    await Echo().stub().Once(sign_up(FIRST))
    assert port.asked == []
