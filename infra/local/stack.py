"""The stack as one process: `python -m infra.local.stack` is what `./tulle up` runs, in front or behind."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import sys
from collections.abc import Callable

from infra import ca
from infra.local import control
from infra.local.layout import Layout, Unusable, free, layout
from infra.local.supervisor import Supervisor
from infra.local.units import certify, units
from infra.settings import StackSettings


async def run(stack: Layout, changed: Callable[[Supervisor], None], ready: Callable[[Supervisor], None]) -> None:
    """Run the stack until SIGINT or SIGTERM; a second signal does not hurry it.

    `changed` hears of every change, `ready` when all is up. Raises: Unusable if it cannot start; then nothing runs.
    """
    with control.lock(stack):
        control.clear_leftovers(stack)
        _check_ports(stack)
        _renew_proofs(stack)
        authority = ca.open_authority(stack.folder("certs"))
        certify(stack, authority)
        stopping = _signals()
        supervisor = Supervisor(stack, units(stack))
        supervisor.listen(lambda: changed(supervisor))
        starting = asyncio.create_task(supervisor.start())
        interrupted = asyncio.create_task(stopping.wait())
        await asyncio.wait({starting, interrupted}, return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            starting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await starting
            return
        interrupted.cancel()
        starting.result()
        ready(supervisor)
        await _serve(stack, supervisor, authority, stopping)
        _forget_sockets(stack)


async def _serve(stack: Layout, supervisor: Supervisor, authority: ca.Authority, stopping: asyncio.Event) -> None:
    housekeeping = asyncio.create_task(supervisor.serve(authority))
    async with control.listening(stack, supervisor.restart):
        await stopping.wait()
    housekeeping.cancel()
    await supervisor.stop()


def _signals() -> asyncio.Event:
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    return stopping


def _check_ports(stack: Layout) -> None:
    for name in ("http_port", "https_port"):
        port = getattr(stack.settings, name)
        if not free(port):
            raise Unusable(
                f"Port {port} is in use by another program; stop it, or choose another with TULLE_{name.upper()}=…"
            )


def _renew_proofs(stack: Layout) -> None:
    """The secrets between services and their sidecars are new at each start."""
    for proof in (stack.data / "secrets").glob("*/sidecar"):
        proof.unlink()


def reset(stack: Layout) -> None:
    """Forget everything: data, certificates, secrets, logs. Raises: Unusable while the stack runs."""
    with control.lock(stack):
        shutil.rmtree(stack.data, ignore_errors=True)
        _forget_sockets(stack)


def _forget_sockets(stack: Layout) -> None:
    for folder in (stack.run, stack.postgres_socket):
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    try:
        asyncio.run(run(layout(StackSettings(), starting=True), lambda supervisor: None, lambda supervisor: None))
    except Unusable as error:
        sys.exit(str(error))
