"""Streams: how many, how silent, and how they end."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from mesh import contract, limits
from mesh.call import Incoming, Peer
from mesh.model import Exhausted, Unavailable, new_id
from mesh.pipeline import Pipeline
from tests.unit.mesh.echo import ADA, SERVICE, STREAM, Echo, ask, until

BOB = new_id("user", 2)


class Open:
    """A process whose streams a test opens one by one."""

    def __init__(self, **policy: Any) -> None:
        self.echo = Echo(policy={"end_user": contract.OPTIONAL, **policy})
        self.pipeline = Pipeline(self.echo.app, self.echo.telemetry)
        self.run = self.pipeline.stream(
            self.echo.contract.method(f"/{SERVICE}/{STREAM.name}"), self.echo.servicer.Repeat
        )
        self.heard: list[bytes] = []

    def open(self, user: str = "", address: str = "127.0.0.9", what: str = "slow", pause: float = 0.0) -> Any:
        """A stream under way, of a user or an address. `pause`: how long its reader takes for each message."""

        async def send(reply: bytes) -> None:
            await asyncio.sleep(pause)
            self.heard.append(reply)

        metadata = {"authorization": f"Bearer {user}"} if user else {}
        incoming = Incoming(Peer("gateway", address), metadata, None, send)
        return asyncio.ensure_future(self.run(ask(what).SerializeToString(), incoming))

    async def several(self, count: int, **of: Any) -> list[Any]:
        """Streams that have begun."""
        before = len(self.echo.servicer.calls)
        made = [self.open(**of) for _ in range(count)]
        await until(lambda: len(self.echo.servicer.calls) == before + count)
        return made


async def test_a_reader_has_some_streams_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Streams are counted for each user, wherever they come from; one that ends makes room."""
    monkeypatch.setattr(limits, "STREAMS_EACH", 2)
    process = Open()
    first, _ = await process.several(2, user=ADA)
    with pytest.raises(Exhausted) as refused:
        await process.open(user=ADA, address="127.0.0.10")
    assert refused.value.retry_after == limits.OVERLOAD_PAUSE
    await process.several(1, user=BOB)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    await process.several(1, user=ADA)
    await process.pipeline.streams.end()


async def test_who_is_not_signed_in_is_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a user the address is the reader; a workload's own streams are not counted."""
    monkeypatch.setattr(limits, "STREAMS_EACH", 1)
    process = Open()
    await process.several(1)
    with pytest.raises(Exhausted):
        await process.open()
    await process.several(1, address="127.0.0.10")
    await process.several(3, address="")
    await process.pipeline.streams.end()


async def test_streams_take_no_room_from_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process full of streams answers calls; a stream too many is refused with a time to come again."""
    monkeypatch.setattr(limits, "CONCURRENT_STREAMS", 1)
    process = Open()
    assert process.pipeline.steps[2].__qualname__ == "Capacity.bounded"
    await process.several(1)
    with pytest.raises(Exhausted) as refused:
        await process.open(address="127.0.0.10")
    assert refused.value.retry_after == limits.OVERLOAD_PAUSE
    echo = process.pipeline.unary(process.echo.contract.method(f"/{SERVICE}/Echo"), process.echo.servicer.Echo)
    assert await echo(ask().SerializeToString(), Incoming(Peer("gateway"), {}))
    await process.pipeline.streams.end()


async def test_a_silent_stream_beats(monkeypatch: pytest.MonkeyPatch) -> None:
    """While its handler says nothing, an empty message goes out each HEARTBEAT; while it speaks, none."""
    monkeypatch.setattr(limits, "HEARTBEAT", 0.05)
    process = Open()
    await process.several(1)
    await until(lambda: len(process.heard) >= 6)
    assert all(process.heard[:3])
    assert not any(process.heard[3:])
    await process.pipeline.streams.end()


async def test_a_slow_reader_gets_no_beats(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is put into the way of a reader that has not yet read what was said."""
    monkeypatch.setattr(limits, "HEARTBEAT", 0.02)
    process = Open()
    await process.open(what="Ada", pause=0.1)
    assert len(process.heard) == 3
    assert all(process.heard)


async def test_streams_end_when_the_process_stops() -> None:
    """They are told to open again elsewhere, their handlers are cancelled, and no new one begins."""
    process = Open()
    streams = await process.several(3)
    await process.pipeline.streams.end()
    for stream in streams:
        with pytest.raises(Unavailable) as told:
            await stream
        assert told.value.retry_after == limits.OVERLOAD_PAUSE
    assert process.echo.servicer.cancelled == 3
    with pytest.raises(Unavailable):
        await process.open()
