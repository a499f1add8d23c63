"""`./tulle bench [--json FILE] [--rounds N]`: measure the hot path against peers that do equal work."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import uvloop
from rich.console import Console
from rich.table import Table

from bench import events, hops, pipeline, read, strict
from bench.measure import Ratio, Row, ratio
from bench.platform import platform

console = Console(highlight=False)


def main() -> None:
    """Measure and print; exit status 0 whatever the figures are."""
    parser = argparse.ArgumentParser(prog="./tulle bench", description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every round's figures")
    parser.add_argument("--rounds", type=int, default=7, help="interleaved rounds (7)")
    parser.add_argument("--only", choices=("pipeline", "events", "platform", "strict"), help="one part of it")
    arguments = parser.parse_args()
    report: dict[str, object] = {}
    if arguments.only in (None, "pipeline"):
        report |= _pipeline(arguments.rounds)
    if arguments.only in (None, "events"):
        report |= _events(arguments.rounds)
    if arguments.only in (None, "strict"):
        report |= _strict(arguments.rounds)
    if arguments.only in (None, "platform"):
        report |= _platform(arguments.rounds)
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=2))


def _pipeline(rounds: int) -> dict[str, object]:
    with console.status("the pipeline against bare grpc.aio …"):
        tax = pipeline.rows(rounds)
    bare, ours = tax[0], tax[2]
    return {"pipeline": _told("The pipeline: unary echo", tax, [ratio("pipeline / bare grpc.aio", ours, bare)])}


def _events(rounds: int) -> dict[str, object]:
    with console.status("a broker and a database: the relay against bare publishing, and latency …"):
        found = events.rows(rounds)
    bare, relay, *_ = found
    return {"events": _told("Events", found, [ratio("relay / nats-py", relay, bare)])}


def _platform(rounds: int) -> dict[str, object]:
    with console.status("a stack with people in it: hops, and reads against FastAPI …"):
        doors, reads = uvloop.run(_on_a_stack(rounds))
    direct, half = doors[0], len(reads) // 2
    slower = [ratio(f"{door.name} / direct", door, direct) for door in doors[1:]]
    pairs = zip(reads[:half], reads[half:], strict=True)
    against = [ratio(ours.name.removeprefix("tulle: "), ours, theirs) for ours, theirs in pairs]
    return {
        "hops": _told("Hops: one call at a time", doors, slower),
        "read": _told("Authenticated read over REST: Tulle and FastAPI", reads, against),
    }


def _strict(rounds: int) -> dict[str, object]:
    with console.status("a stack and three gateways: the strict check …"):
        gateways = uvloop.run(_three_gateways(rounds))
    whole, *others = gateways
    costs = [ratio(f"whole gateway / {row.name.partition(': ')[2]}", whole, row) for row in others]
    return {"strict": _told("The check of what a request says", gateways, costs)}


async def _three_gateways(rounds: int) -> list[Row]:
    async with platform() as running:
        return await strict.rows(running, rounds)


async def _on_a_stack(rounds: int) -> tuple[list[Row], list[Row]]:
    async with platform() as running:
        return await hops.rows(running, rounds), await read.rows(running, rounds)


def _told(title: str, rows: Sequence[Row], ratios: Sequence[Ratio]) -> dict[str, object]:
    table = Table(title=title, box=None, title_justify="left", header_style="dim", padding=(0, 2, 0, 0))
    for column in ("", "median", "least", "most", "unit"):
        table.add_column(column, justify="left" if column in ("", "unit") else "right")
    for row in rows:
        table.add_row(
            row.name, *(f"{value:,.3g}" if value < 100 else f"{value:,.0f}" for value in _three(row)), row.unit
        )
    for one in ratios:
        verdict = "[green]better[/green]" if one.median >= 1 else "[red]worse[/red]"
        least, most = one.spread
        table.add_row(f"→ {one.name}", f"{one.median:.2f}", f"{least:.2f}", f"{most:.2f}", f"times, {verdict}")
    console.print(table, "")
    return {"rows": [asdict(row) for row in rows], "ratios": [asdict(one) for one in ratios]}


def _three(row: Row) -> tuple[float, float, float]:
    return row.median, min(row.values), max(row.values)


if __name__ == "__main__":
    main()
