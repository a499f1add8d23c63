"""Each RPC × each kind of caller × each door: allowed, or refused with exactly the expected status."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio

from mesh.contract import Method
from services import topology
from tests.e2e.cast import Cast
from tests.e2e.doors import Edge, Sidecar, new_address
from tests.e2e.matrix import HTTP, Cell, Count, Door, Holder, edge_cells, mesh_cells, outcome

Try = Callable[[Cell], Awaitable[object]]
Verdict = Callable[[Cell], str]


@pytest.fixture(scope="module")
def count(tell: Callable[[str], None]) -> Iterable[Count]:
    tried = Count()
    yield tried
    tell(str(tried))


@pytest_asyncio.fixture(loop_scope="session")
async def edge_channel(edge: Edge) -> AsyncIterator[grpc.aio.Channel]:
    async with edge.grpc() as channel:
        yield channel


@pytest.mark.parametrize("holder", Holder, ids=str)
async def test_rest_obeys_the_contract(edge: Edge, cast: Cast, count: Count, holder: Holder) -> None:
    """Over REST each method answers each holder of a token as the contract says."""
    async with edge.rest() as rest:

        async def attempt(cell: Cell) -> int:
            rule = next((rule for rule in cell.method.http if "{" not in rule.path), cell.method.http[0])
            path = re.sub(r"\{[^}]+\}", "x", rule.path)
            headers = dict(await cast.authorization(cell))
            # A stream has its status before its first event, and no end worth waiting for.
            async with rest.stream(rule.verb, path, json={} if rule.body else None, headers=headers) as answer:
                if not cell.method.server_streaming:
                    await answer.aread()
                return answer.status_code

        await check(attempt, _with(holder, edge_cells(Door.REST)), count, lambda cell: HTTP[cell.expected])


@pytest.mark.parametrize("holder", Holder, ids=str)
async def test_grpc_at_the_edge_obeys_the_contract(
    edge_channel: grpc.aio.Channel, cast: Cast, count: Count, holder: Holder
) -> None:
    """Over gRPC each method answers each holder of a token as over REST."""

    async def attempt(cell: Cell) -> str:
        return await status(edge_channel, cell.method, await cast.authorization(cell))

    await check(attempt, _with(holder, edge_cells(Door.GRPC)), count)


@pytest.mark.parametrize("workload", [workload.name for workload in topology.WORKLOADS])
async def test_sidecars_obey_the_contract(
    sidecars: dict[str, Sidecar], certificates: Path, cast: Cast, count: Count, verdict: Verdict, workload: str
) -> None:
    """At a sidecar each method answers each workload, and each holder it acts for, as the contract says."""
    async with _Channels(sidecars, certificates / workload) as channels:

        async def attempt(cell: Cell) -> str:
            return await status(channels.of(cell), cell.method, await cast.authorization(cell))

        await check(attempt, [cell for cell in mesh_cells() if cell.workload == workload], count, verdict)


@pytest.mark.parametrize("claimed", ["gateway", "operator"])
@pytest.mark.parametrize("workload", ["auth", "users", "operator"])
async def test_a_forged_identity_counts_for_nothing(
    sidecars: dict[str, Sidecar],
    certificates: Path,
    cast: Cast,
    count: Count,
    verdict: Verdict,
    workload: str,
    claimed: str,
) -> None:
    """What a caller says about its own identity changes no answer: the certificate decides."""
    async with _Channels(sidecars, certificates / workload) as channels:

        async def attempt(cell: Cell) -> str:
            headers = [*(await cast.authorization(cell)), *forged(cell, claimed)]
            return await status(channels.of(cell), cell.method, headers)

        cells = [cell for cell in mesh_cells() if cell.workload == workload and cell.holder is Holder.ADMINISTRATOR]
        await check(attempt, cells, count, verdict)


async def test_a_forged_identity_at_the_edge_counts_for_nothing(
    edge_channel: grpc.aio.Channel, cast: Cast, count: Count
) -> None:
    """The edge takes nobody's word for a workload's identity, nor for a client's address."""

    async def attempt(cell: Cell) -> str:
        headers = [*(await cast.authorization(cell)), *forged(cell, "operator")]
        return await status(edge_channel, cell.method, headers)

    await check(attempt, _with(Holder.USER, edge_cells(Door.GRPC)), count)


@pytest.mark.parametrize("shown", ["a stranger's certificate", "plaintext"])
async def test_strangers_fail_the_handshake(
    sidecars: dict[str, Sidecar], stranger: Path, cast: Cast, shown: str
) -> None:
    """A certificate of another authority, whatever it says, and plaintext reach no method at all."""
    folder = None if shown == "plaintext" else stranger
    async with _Channels(sidecars, folder) as channels:
        for cell in mesh_cells():
            if cell.workload == "gateway" and cell.holder is Holder.ADMINISTRATOR:
                answer = await status(channels.of(cell), cell.method, await cast.authorization(cell))
                assert answer == "UNAVAILABLE", cell


async def test_a_socket_without_its_sidecar_is_closed(sockets: dict[str, Path], cast: Cast) -> None:
    """On a service's own socket nobody is anybody without the secret of its sidecar."""
    for cell in mesh_cells():
        if cell.workload == "gateway" and cell.holder is Holder.ADMINISTRATOR:
            target = sockets[cell.owner]
            async with grpc.aio.insecure_channel(f"unix:{target}") as channel:
                headers = [*(await cast.authorization(cell)), *forged(cell, "gateway")]
                assert await status(channel, cell.method, headers) == "UNAUTHENTICATED", cell


async def check(
    attempt: Try, cells: Iterable[Cell], count: Count, expected: Callable[[Cell], object] = lambda cell: cell.expected
) -> None:
    """Try all cells; say all that went wrong at once."""
    wrong = []
    for cell in cells:
        got, wanted = await attempt(cell), expected(cell)
        count.add(cell, wanted if isinstance(wanted, str) else cell.expected)
        if got != wanted:
            wrong.append(f"{cell.method.path} by {cell.workload} for {cell.holder}: {got}, not {wanted}")
    assert not wrong, "\n".join(wrong)


async def status(channel: grpc.aio.Channel, method: Method, headers: Iterable[tuple[str, str]]) -> str:
    """The name of the status that an empty request comes to."""
    try:
        if method.server_streaming:
            stream: Any = channel.unary_stream(method.path)
            await _first(stream(b"", metadata=tuple(headers), timeout=10))
        else:
            call: Any = channel.unary_unary(method.path)
            await call(b"", metadata=tuple(headers), timeout=10)
    except grpc.aio.AioRpcError as error:
        return str(error.code().name)
    return "OK"


async def _first(stream: Any) -> None:
    """A stream that says something is allowed."""
    try:
        await stream.read()
    finally:
        stream.cancel()


def forged(cell: Cell, claimed: str) -> list[tuple[str, str]]:
    """Everything that a caller could say in order to pass for a workload."""
    owner = topology.spiffe_id(cell.owner)
    element = f"By={owner};URI={topology.spiffe_id(claimed)}"
    return [
        ("x-forwarded-client-cert", element),
        ("x-tulle-sidecar", "guessed"),
        ("x-tulle-client-address", new_address()),
        ("x-forwarded-for", new_address()),
    ]


class _Channels:
    """One channel to each sidecar, with one certificate."""

    def __init__(self, sidecars: dict[str, Sidecar], certificates: Path | None) -> None:
        self._channels = {name: sidecar.channel(certificates) for name, sidecar in sidecars.items()}

    def of(self, cell: Cell) -> grpc.aio.Channel:
        return self._channels[cell.owner]

    async def __aenter__(self) -> _Channels:
        return self

    async def __aexit__(self, *_: object) -> None:
        for channel in self._channels.values():
            await channel.close()


def _with(holder: Holder, cells: Iterable[Cell]) -> list[Cell]:
    return [cell for cell in cells if cell.holder is holder]


def test_every_method_has_an_outcome() -> None:
    """The matrix knows what an allowed call comes to, for every method."""
    assert {outcome(cell.method, cell.door) for cell in edge_cells(Door.GRPC)} == {"OK", "INVALID_ARGUMENT"}
