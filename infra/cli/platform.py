"""Verbs that run the platform: up, down, status, logs, restart, reset."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.live import Live
from rich.table import Table

from infra.cli.app import app, err, out, print_json, stack
from infra.local import control
from infra.local import stack as local
from infra.local.layout import Layout, Unusable
from infra.local.supervisor import READY, Supervisor
from infra.settings import inherited_environment, own_settings

COLOURS = {"ready": "green", "failed": "red", "restarting": "yellow", "stopped": "dim"}
Json = Annotated[bool, typer.Option("--json", help="Print for programs.")]
START_PATIENCE = 120.0


@app.command()
def up(detached: Annotated[bool, typer.Option("-d", "--detach", help="Return when it runs.")] = False) -> None:
    """Start the platform. Ctrl-C stops all of it; the next start finds its data."""
    if detached:
        _up_behind(stack())
    else:
        _up_in_front(stack(starting=True))


def _up_in_front(layout: Layout) -> None:
    with ExitStack() as display:
        live = display.enter_context(Live(console=err, transient=True, refresh_per_second=10))

        def changed(supervisor: Supervisor) -> None:
            if supervisor.startup is None:
                live.update(_progress(map(asdict, supervisor.statuses)))

        def ready(supervisor: Supervisor) -> None:
            display.close()
            _welcome(layout)

        asyncio.run(local.run(layout, changed, ready))
    err.print("Stopped.")


def _up_behind(layout: Layout) -> None:
    if control.running(layout):
        raise Unusable("A stack runs here already: ./tulle status shows it, ./tulle down stops it.")
    log = layout.folder("logs") / "stack.log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "infra.local.stack"],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=inherited_environment() | own_settings(),
        )
    began = time.time()
    with Live(console=err, transient=True, refresh_per_second=10) as live:
        while not _started(layout, began):
            if process.poll() is not None:
                live.stop()
                raise Unusable(log.read_text().strip() or f"The stack ended at once; see {log}.")
            if time.time() - began > START_PATIENCE:
                raise Unusable(
                    f"The stack is not ready after {START_PATIENCE:g} s; see ./tulle status and ./tulle logs."
                )
            live.update(_progress(_known(layout, began).get("processes", [])))
            time.sleep(0.1)
    _welcome(layout)


def _known(layout: Layout, began: float) -> Mapping[str, Any]:
    try:
        told = control.told(layout)
    except (OSError, ValueError):
        return {}
    return told if told["began"] >= began - 1 else {}


def _started(layout: Layout, began: float) -> bool:
    return _known(layout, began).get("startup_seconds") is not None


def _progress(processes: Iterable[Mapping[str, Any]]) -> Table:
    table = Table.grid(padding=(0, 2))
    for process in processes:
        state = process["state"]
        mark = "[green]✓[/green]" if state == READY else "·"
        table.add_row(mark, process["name"], f"[{COLOURS.get(state, 'cyan')}]{state}[/]", process["problem"][:80])
    return table


def _welcome(layout: Layout) -> None:
    told = control.told(layout)
    out.print(_table(layout, told["processes"]))
    url = layout.public_url
    out.print(f"Sockets are in {layout.run}. Ready in {told['startup_seconds']} s. A first request:\n", soft_wrap=True)
    out.print(
        f"  curl -s {url}/v1/auth:signUp -H 'content-type: application/json' \\\n"
        '    -d \'{"email": "ana@example.com", "password": "correct horse battery"}\'',
        soft_wrap=True,
    )
    out.print("\nThe mail it sends: ./tulle mail. More: ./tulle status, ./tulle logs, README.md.")


def _table(layout: Layout, processes: Iterable[Mapping[str, Any]]) -> Table:
    processes = list(processes)
    restarted = any(process["restarts"] for process in processes)
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for column in ("name", "state", "pid", "memory", *(("restarts",) if restarted else ()), "address"):
        table.add_column(column, overflow="fold")
    for process in processes:
        state, memory = process["state"], process.get("memory_mb") or control.memory(process["pid"])
        table.add_row(
            process["name"],
            f"[{COLOURS.get(state, 'cyan')}]{state}[/]",
            str(process["pid"] or ""),
            f"{memory:.0f} MB" if memory else "",
            *((str(process["restarts"] or ""),) if restarted else ()),
            process["address"].removeprefix(f"{layout.run}/"),
        )
    return table


@app.command()
def down() -> None:
    """Stop the platform that runs in the background; its data stay."""
    control.stop(stack())
    err.print("Stopped.")


@app.command()
def status(as_json: Json = False) -> None:
    """Show what runs where: state, PID, memory (PSS), restarts, address."""
    layout = stack()
    told = control.state(layout)
    if as_json:
        print_json(told)
        return
    out.print(_table(layout, told["processes"]))
    out.print(
        f"Sockets are in {layout.run}. Started in {told['startup_seconds']} s; {told['memory_mb']:.0f} MB in all."
    )
    for process in told["processes"]:
        if process["problem"]:
            out.print(f"{process['name']}: {process['problem']}", soft_wrap=True)


@app.command()
def restart(name: Annotated[str, typer.Argument(help="A name from ./tulle status.")]) -> None:
    """Restart one process and wait until it is ready."""
    asyncio.run(control.ask_restart(stack(), name))
    err.print(f"{name} is ready.")


@app.command()
def reset(yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False) -> None:
    """Forget all data of the stack, its keys and certificates included."""
    layout = stack()
    if not yes:
        typer.confirm(f"Delete everything in {layout.data}?", abort=True)
    local.reset(layout)
    err.print("Everything is forgotten; ./tulle up starts afresh.")


@app.command()
def logs(
    name: Annotated[str | None, typer.Argument(help="A name from ./tulle status; all without one.")] = None,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Wait for more.")] = False,
    lines: Annotated[int, typer.Option("-n", help="Lines of each log to begin with.")] = 50,
) -> None:
    """Print what the processes have logged."""
    folder = stack().folder("logs")
    files = sorted(folder.glob("*.log")) if name is None else [folder / f"{name}.log"]
    if not all(file.exists() for file in files):
        raise Unusable(
            f"There is no log of {name}; there are {', '.join(p.stem for p in sorted(folder.glob('*.log')))}."
        )
    width = max((len(file.stem) for file in files), default=0)
    positions = {file: _print_tail(file, lines, width) for file in files}
    while follow:
        for file, position in positions.items():
            positions[file] = _print_from(file, position, width)
        time.sleep(0.2)


def _print_tail(file: Path, lines: int, width: int) -> int:
    with file.open(errors="replace") as log:
        for line in deque(log, maxlen=lines):
            _print_line(file, line, width)
        return log.tell()


def _print_from(file: Path, position: int, width: int) -> int:
    if file.stat().st_size < position:  # it was cut
        position = 0
    with file.open(errors="replace") as log:
        log.seek(position)
        for line in _whole(log.read()):
            _print_line(file, line, width)
            position += len(line.encode())
    return position


def _whole(text: str) -> Iterator[str]:
    return (line for line in text.splitlines(keepends=True) if line.endswith("\n"))


def _print_line(file: Path, line: str, width: int) -> None:
    print(f"{file.stem:<{width}}  {line}", end="" if line.endswith("\n") else "\n", flush=True)
