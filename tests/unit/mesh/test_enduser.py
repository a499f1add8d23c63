"""The end user of a call."""

from __future__ import annotations

import asyncio

import pytest

from mesh import contract, limits
from mesh.model import Denied, Unauthenticated, Unavailable
from tests.unit.mesh.echo import ADA, Credentials, Echo, ask

REQUIRED = {"end_user": contract.REQUIRED}


async def test_the_user_is_in_the_call() -> None:
    """Behind a valid token the servicer sees its user and may pass the token on."""
    echo = Echo(policy=REQUIRED)
    await echo.stub(f"{ADA}/administrator").Echo(ask())
    seen = echo.servicer.calls[0]
    assert seen.caller.signed_in.user_id == ADA
    assert seen.caller.signed_in.roles == frozenset({"administrator"})
    assert (seen.token, seen.caller.principal) == (f"{ADA}/administrator", ADA)
    assert seen.token not in repr(seen)


@pytest.mark.parametrize(
    ("end_user", "header", "answered"),
    [
        (contract.REQUIRED, "", False),
        (contract.REQUIRED, "Bearer forged", False),
        (contract.REQUIRED, f"Bearer {ADA}", True),
        (contract.REQUIRED, f"bearer {ADA}", True),
        (contract.OPTIONAL, "", True),
        (contract.OPTIONAL, "Bearer forged", False),
        (contract.OPTIONAL, "Bearer ", False),
        (contract.OPTIONAL, "Basic dTpw", False),
        (contract.OPTIONAL, f"Bearer {ADA}", True),
        (contract.NONE, "", True),
        (contract.NONE, "Bearer forged", True),
    ],
)
async def test_tokens_are_as_the_contract_wants_them(end_user: str, header: str, answered: bool) -> None:
    """Required: a valid one. Optional: none or a valid one. None: not looked at."""
    echo = Echo(policy={"end_user": end_user})
    metadata = {"authorization": header} if header else {}
    if answered:
        await echo.stub(**metadata).Echo(ask())
    else:
        with pytest.raises(Unauthenticated):
            await echo.stub(**metadata).Echo(ask())
        assert echo.servicer.calls == []


async def test_a_method_without_end_user_passes_no_token_on() -> None:
    """Where the contract has no end user, the servicer has no token."""
    echo = Echo()
    await echo.stub(ADA).Echo(ask())
    assert (echo.servicer.calls[0].token, echo.servicer.calls[0].caller.user) == ("", None)
    assert echo.servicer.currents[0] == echo.servicer.calls[0]


async def test_not_knowing_is_no_refusal() -> None:
    """When tokens cannot be verified the answer is UNAVAILABLE: nobody is logged out by it."""
    echo = Echo(policy=REQUIRED, credentials=Credentials(away=True))
    with pytest.raises(Unavailable):
        await echo.stub(ADA).Echo(ask())


async def test_fresh_asks_for_the_session() -> None:
    """A method marked fresh has the roles of now, and refuses a session that has ended."""
    echo = Echo(policy={**REQUIRED, "fresh": True, "roles": frozenset({"checked"})})
    await echo.stub(ADA).Echo(ask())
    echo.credentials.ended.add(ADA)
    with pytest.raises(Unauthenticated):
        await echo.stub(ADA).Echo(ask())


async def test_a_stream_ends_with_its_token() -> None:
    """When the token runs out, the stream ends with UNAUTHENTICATED and its handler is cancelled."""
    echo = Echo(policy=REQUIRED, credentials=Credentials(life=0.05))
    seen = 0
    with pytest.raises(Unauthenticated):
        async for _ in echo.stub(ADA).Repeat(ask("slow")):
            seen += 1
    assert seen == 3
    assert echo.servicer.cancelled == 1


async def test_a_fresh_stream_asks_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A session that ends takes its streams with it at the next look."""
    monkeypatch.setattr(limits, "RECHECK", 0.02)
    echo = Echo(policy={**REQUIRED, "fresh": True})
    with pytest.raises(Unauthenticated):
        async for _ in echo.stub(ADA).Repeat(ask("slow")):
            echo.credentials.ended.add(ADA)
    assert echo.servicer.cancelled == 1


async def test_a_fresh_stream_ends_with_its_role(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who loses the role that opened a stream loses the stream at the next look."""
    monkeypatch.setattr(limits, "RECHECK", 0.02)
    echo = Echo(policy={**REQUIRED, "fresh": True, "roles": frozenset({"checked"})})
    with pytest.raises(Denied):
        async for _ in echo.stub(ADA).Repeat(ask("slow")):
            echo.credentials.roles = frozenset()
    assert echo.servicer.cancelled == 1


async def test_a_stream_that_ends_in_time_is_whole() -> None:
    """A stream within its token's life has all its replies."""
    echo = Echo(policy=REQUIRED)
    assert len([reply async for reply in echo.stub(ADA).Repeat(ask())]) == 3


async def test_a_cancelled_stream_stops() -> None:
    """A reader that goes away cancels the handler, also behind the look at the token."""
    echo = Echo(policy=REQUIRED)

    async def read() -> None:
        async for _ in echo.stub(ADA).Repeat(ask("slow")):
            pass

    reading = asyncio.ensure_future(read())
    await asyncio.sleep(0.02)
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    assert echo.servicer.cancelled == 1
