"""`./tulle faults [--seed N] [--seconds N] [--runs N] [--json]`: harm a stack while people use it, and judge."""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import uvloop
from rich.console import Console

from faults.checker import check
from faults.evidence import gathered
from faults.havoc import Havoc, everybody
from faults.journal import Journal
from faults.plants import PLANTS
from faults.run import Run, Violation
from faults.site import site
from faults.workload import people
from mesh.tasks import ended

console = Console(highlight=False, stderr=True)
LAG_LOOK = 0.05


@dataclass(frozen=True)
class Verdict:
    """One run: what it was, how much of it there was, and what did not hold."""

    seed: int
    seconds: float
    plant: str
    harms: dict[str, int]
    operations: dict[str, int]
    acknowledged: int
    paid: int
    """Invoices of which somebody was told that they are paid."""
    people: int
    events: int
    mails: int
    violations: list[Violation]


def main() -> None:
    """Print a line for each run and each violation; exit status 1 if there is one."""
    parser = argparse.ArgumentParser(prog="./tulle faults", description=__doc__)
    parser.add_argument("--seed", type=int, help="of the first run; the next ones follow it (by chance)")
    parser.add_argument("--seconds", type=float, default=30.0, help="how long each stack is harmed (30)")
    parser.add_argument("--runs", type=int, default=1, help="how many (1)")
    parser.add_argument("--people", type=int, default=6, help="at once (6)")
    parser.add_argument("--victims", nargs="*", choices=everybody(), default=(), help="harm only these processes")
    parser.add_argument("--plant", choices=("", *PLANTS), default="", help="a bug that must be found")
    parser.add_argument("--json", action="store_true", help="print for programs")
    given = parser.parse_args()
    first = given.seed if given.seed is not None else random.randrange(2**32)
    how = (given.seconds, given.people, given.plant, given.victims)
    verdicts = [uvloop.run(judged(first + number, *how)) for number in range(given.runs)]
    _tell(verdicts, given)
    sys.exit(any(verdict.violations for verdict in verdicts))


async def judged(seed: int, seconds: float, count: int, plant: str = "", victims: Sequence[str] = ()) -> Verdict:
    """Harm a stack for so long, let it come to rest, and hold what was recorded against the laws."""
    with tempfile.TemporaryDirectory(prefix="tulle-journal-") as folder:
        async with site(plant) as stack:
            journal = Journal(Path(folder) / "journal.jsonl")
            havoc = Havoc(stack, journal, random.Random(seed), victims)
            lags: list[tuple[float, float]] = []
            watching = asyncio.create_task(_watch(journal, lags))
            async with people(stack, journal, seed, count):
                harming = asyncio.create_task(havoc.run())
                await asyncio.sleep(seconds)
                await ended(harming)
            await ended(watching)
            evidence = await gathered(stack)
        harms = tuple(havoc.done)
        run = Run(journal.operations, frozenset(journal.secrets), harms, havoc.poisoned, lags, evidence)
    return _verdict(run, seed, seconds, plant)


def _verdict(run: Run, seed: int, seconds: float, plant: str) -> Verdict:
    return Verdict(
        seed=seed,
        seconds=seconds,
        plant=plant,
        harms=dict(Counter(f"{harm.kind} {harm.victim}" for harm in run.harms)),
        operations=dict(Counter(one.method.rpartition("/")[2] for one in run.operations)),
        acknowledged=sum(one.acknowledged for one in run.operations),
        paid=sum(one.method == "invoice" and one.facts["paid"] for one in run.operations),
        people=len({one.person for one in run.operations}),
        events=sum(map(len, run.evidence.outbox.values())),
        mails=len(run.evidence.mails),
        violations=check(run),
    )


async def _watch(journal: Journal, lags: list[tuple[float, float]]) -> None:
    """Note when our own clock stands still: what people wait for then is nobody's fault."""
    while True:
        before = journal.now()
        await asyncio.sleep(LAG_LOOK)
        if (lag := journal.now() - before - LAG_LOOK) > LAG_LOOK:
            lags.append((journal.now(), lag))


def _tell(verdicts: list[Verdict], given: argparse.Namespace) -> None:
    if given.json:
        print(json.dumps([asdict(verdict) for verdict in verdicts], indent=2))
        return
    for verdict in verdicts:
        print(_summary(verdict))
        for violation in verdict.violations:
            print(f"  ✗ {violation.law}: {violation.what}")
        if verdict.violations:
            print(f"  again: {_again(verdict, given)}")


def _again(verdict: Verdict, given: argparse.Namespace) -> str:
    """The command that makes the same run once more."""
    plant = f" --plant {given.plant}" if given.plant else ""
    victims = f" --victims {' '.join(given.victims)}" if given.victims else ""
    return f"./tulle faults --seed {verdict.seed} --seconds {verdict.seconds:g} --people {given.people}{plant}{victims}"


def _summary(verdict: Verdict) -> str:
    kinds: Counter[str] = Counter()
    for name, count in verdict.harms.items():
        kinds[name.split()[0]] += count
    harms = ", ".join(f"{count} × {kind}" for kind, count in kinds.most_common())
    return (
        f"seed {verdict.seed}: {kinds.total()} faults ({harms}); {sum(verdict.operations.values())} operations of "
        f"{verdict.people} people, {verdict.acknowledged} acknowledged; {verdict.paid} invoices paid, "
        f"{verdict.events} events, {verdict.mails} mails; {len(verdict.violations)} violations"
    )


if __name__ == "__main__":
    main()
