"""The harness finds nothing in the platform, and finds each planted bug."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Mapping

import pytest
import pytest_asyncio

from faults.__main__ import judged
from faults.plants import PLANTS
from mesh.tasks import ended

SEED = random.randrange(2**32)
SECONDS, PLANTED, TRIES, AT_ONCE = 25.0, 15.0, 3, 2


@pytest.mark.parametrize("number", range(2))
async def test_the_laws_hold_whatever_dies(tell: Callable[[str], None], number: int) -> None:
    """Of what people were told, nothing is lost, doubled, late or given away, for a seed of the day."""
    verdict = await judged(SEED + number, SECONDS, 6)
    tell(
        f"faults: seed {verdict.seed}: {sum(verdict.harms.values())} faults, "
        f"{sum(verdict.operations.values())} operations, {verdict.paid} invoices paid, "
        f"{len(verdict.violations)} violations"
    )
    assert verdict.harms
    assert verdict.acknowledged > 50
    assert verdict.paid
    assert not verdict.violations, f"again: ./tulle faults --seed {verdict.seed} --seconds {SECONDS:g}"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def searches(tell: Callable[[str], None]) -> AsyncIterator[Mapping[str, asyncio.Task[set[str]]]]:
    """All plants are looked for, so many at once: what a stack waits for, another one uses."""
    turns = asyncio.Semaphore(AT_ONCE)
    tasks = {plant: asyncio.create_task(_searched(plant, turns, tell)) for plant in PLANTS}
    yield tasks
    await ended(*tasks.values())


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("plant", PLANTS)
async def test_a_planted_bug_is_found(searches: Mapping[str, asyncio.Task[set[str]]], plant: str) -> None:
    """Under the law that it breaks, in one of a few short runs that harm its own process above all."""
    found = await searches[plant]
    assert PLANTS[plant].law in found


async def _searched(plant: str, turns: asyncio.Semaphore, tell: Callable[[str], None]) -> set[str]:
    """The laws that were seen broken."""
    found: set[str] = set()
    async with turns:
        for number in range(TRIES):
            verdict = await judged(SEED + number, PLANTED, 6, plant, (PLANTS[plant].workload,))
            found |= {violation.law for violation in verdict.violations}
            if PLANTS[plant].law in found:
                tell(f"faults: {plant} found by {PLANTS[plant].law} in {PLANTED * (number + 1):g} s")
                break
    return found
