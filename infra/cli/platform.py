"""Verbs that run the platform: up, down, status, logs, restart, reset."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.live import Live
from rich.table import Table

from infra.cli.app import app, err, out, print_json, stack
from infra.istio import tools
from infra.local import control, limiter
from infra.local import stack as local
from infra.local.layout import Layout, Unusable
from infra.local.limits import DOWN_WITHIN, STACK_WITHIN
from infra.local.logs import Log, merged
from infra.local.logs import follow as following
from infra.local.supervisor import READY, Supervisor
from infra.settings import Limits, Mesh, Workers, choose, inherited_environment, own_settings

COLOURS = {"ready": "green", "failed": "red", "restarting": "yellow", "not ready": "yellow", "stopped": "dim"}
Json = Annotated[bool, typer.Option("--json", help="Print for programs.")]


@app.command()
def up(
    detached: Annotated[bool, typer.Option("-d", "--detach", help="Return when it runs.")] = False,
    limits: Annotated[
        Limits | None, typer.Option(help="Whether rate limits hold per gateway or over all; `shared` needs Go once.")
    ] = None,
    workers: Annotated[
        Workers | None,
        typer.Option(help="Whether events are worked on inside the services, or apart."),
    ] = None,
    mesh: Annotated[
        Mesh | None, typer.Option(help="Who configures the sidecars: files, or Istio's istiod; `istio` needs Go once.")
    ] = None,
) -> None:
    """Start the platform. Ctrl-C stops all of it; the next start finds its data."""
    if limits:
        choose("limits", limits)
    if stack().settings.limits == "shared":
        limiter.build(err.print)
    if workers:
        choose("workers", workers)
    if mesh:
        choose("mesh", mesh)
    if stack().settings.mesh == "istio":
        tools.build(err.print)
    if detached:
        _up_behind(stack())
    else:
        _up_in_front(stack())


def _up_in_front(layout: Layout) -> None:
    with ExitStack() as display:
        progress = display.enter_context(Progress())

        def changed(supervisor: Supervisor) -> None:
            if supervisor.startup is None:
                progress.show([asdict(status) for status in supervisor.statuses])

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
    try:
        _await_ready(layout, process, log)
    except BaseException:
        # Given up, by us or with Ctrl-C: nothing of it goes on behind.
        process.terminate()
        process.wait(DOWN_WITHIN)
        raise
    _welcome(layout)


def _await_ready(layout: Layout, process: subprocess.Popen[bytes], log: Path) -> None:
    """Show how the start goes until all is ready. Raises: Unusable if it does not come to that."""
    until = time.monotonic() + STACK_WITHIN
    with Progress() as progress:
        while not (told := _told(layout, process.pid)).get("startup_seconds"):
            if process.poll() is not None:
                raise Unusable(log.read_text().strip() or f"The stack ended at once; see {log}.")
            if time.monotonic() > until:
                raise Unusable(f"The stack is not ready after {STACK_WITHIN:g} s, so it was stopped; see ./tulle logs.")
            progress.show(told.get("processes", []))
            time.sleep(0.1)


def _told(layout: Layout, pid: int) -> Mapping[str, Any]:
    """What the stack with this process says of itself; nothing before it does."""
    told = control.told(layout)
    return told if told.get("pid") == pid else {}


class Progress:
    """Shows how a start goes: a table that changes on a terminal, a line for each process elsewhere."""

    def __init__(self) -> None:
        self._live = Live(console=err, transient=True, refresh_per_second=10) if err.is_terminal else None
        self._told: set[str] = set()

    def __enter__(self) -> Progress:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    def show(self, processes: Sequence[Mapping[str, Any]]) -> None:
        """Show these states."""
        if self._live:
            self._live.update(_progress(processes))
            return
        for process in processes:
            if process["state"] == READY and process["name"] not in self._told:
                self._told.add(process["name"])
                err.print(f"✓ {process['name']} ready in {process['seconds']} s")


def _progress(processes: Iterable[Mapping[str, Any]]) -> Table:
    table = Table.grid(padding=(0, 2))
    for process in processes:
        state = process["state"]
        mark = "[green]✓[/green]" if state == READY else "·"
        table.add_row(mark, process["name"], f"[{COLOURS.get(state, 'cyan')}]{state}[/]", process["problem"][:80])
    return table


def _welcome(layout: Layout) -> None:
    told = control.told(layout)
    out.print(_table(told))
    out.print(
        f"Ready in {told['startup_seconds']} s; sockets are in {told['run_dir']}. A first request:\n", soft_wrap=True
    )
    out.print(
        f"  curl -s {told['url']}/v1/auth:signUp -H 'content-type: application/json' \\\n"
        '    -d \'{"email": "ana@example.com"}\'',
        soft_wrap=True,
    )
    out.print("\nThe mail it sends: ./tulle mail. More: ./tulle status, ./tulle logs, README.md.")


def _table(told: Mapping[str, Any]) -> Table:
    restarted = any(process["restarts"] for process in told["processes"])
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for column in ("name", "state", "pid", "memory", *(("restarts",) if restarted else ()), "address"):
        table.add_column(column, overflow="fold")
    for process in told["processes"]:
        state, memory = process["state"], process.get("memory_mb") or control.memory(process["pid"])
        table.add_row(
            process["name"],
            f"[{COLOURS.get(state, 'cyan')}]{state}[/]",
            str(process["pid"] or ""),
            f"{memory:.0f} MB" if memory else "",
            *((str(process["restarts"] or ""),) if restarted else ()),
            process["address"].removeprefix(f"{told['run_dir']}/"),
        )
    return table


@app.command()
def down() -> None:
    """Stop the platform, wherever it was started; its data stay."""
    control.stop(stack())
    err.print("Stopped.")


@app.command()
def status(as_json: Json = False) -> None:
    """Show what runs where: state, PID, memory (PSS), restarts, address."""
    told = control.state(stack())
    if as_json:
        print_json(told)
        return
    out.print(_table(told))
    took = told["startup_seconds"]
    began = f"Started in {took} s" if took else "Starting"
    out.print(f"{began}; {told['memory_mb']:.0f} MB in all; sockets are in {told['run_dir']}.", soft_wrap=True)
    if told["problem"]:
        out.print(told["problem"], markup=False, soft_wrap=True)
    for process in told["processes"]:
        if process["problem"]:
            out.print(f"{process['name']}: {process['problem']}", markup=False, soft_wrap=True)


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
    lines: Annotated[int, typer.Option("-n", min=0, help="Lines of each log to begin with.")] = 50,
) -> None:
    """Print what the processes have logged, in the order in which it happened."""
    files = sorted(stack().folder("logs").glob("*.log"))
    chosen = [Log(file) for file in files if name in (None, file.stem)]
    if name is not None and not chosen:
        raise Unusable(f"There is no log of {name}; there are {', '.join(file.stem for file in files)}.")
    width = max((len(log.name) for log in chosen), default=0)
    before = merged([log.tail(lines) for log in chosen])
    with suppress(KeyboardInterrupt, BrokenPipeError):
        for line in chain(before, following(chosen) if follow else ()):
            print(f"{line.name:<{width}}  {line.text}", flush=True)
