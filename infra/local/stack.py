"""The stack as one process: `python -m infra.local.stack` is what `./tulle up` runs, in front or behind.

`--with-parent`: it stops when whoever started it dies, however that is; for tests and benchmarks, which leave nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from infra import ca
from infra.local import control, istio
from infra.local.layout import Layout, Unusable, before_start, bind, layout
from infra.local.supervisor import Supervisor
from infra.local.units import certify, units
from infra.settings import StackSettings

Listener = Callable[[Supervisor], None]
WITH_PARENT = "--with-parent"
_PR_SET_PDEATHSIG = 1


async def run(stack: Layout, changed: Listener, ready: Listener) -> None:
    """Run the stack until SIGINT or SIGTERM; a second signal does not hurry it.

    `changed` hears of every change, `ready` when all is up. Raises: Unusable if it cannot start; then nothing runs.
    """
    stopping = _signals()
    with control.lock(stack) as held:
        control.claim(held)
        control.clear_leftovers(stack)
        _check_ports(stack)
        stack = before_start(stack)
        try:
            await _run(stack, changed, ready, stopping)
        finally:
            _forget_sockets(stack)


async def _run(stack: Layout, changed: Listener, ready: Listener, stopping: asyncio.Event) -> None:
    _renew_proofs(stack)
    istio.forget(stack)
    authority = ca.open_authority(stack.folder("certs"))
    certify(stack, authority)
    supervisor = Supervisor(stack, units(stack), _began())
    supervisor.listen(lambda: changed(supervisor))
    if await _started(supervisor, stopping):
        ready(supervisor)
        await _serve(stack, supervisor, authority, stopping)


async def _started(supervisor: Supervisor, stopping: asyncio.Event) -> bool:
    """Whether everything is up; not if a signal came first. Raises: Unusable."""
    starting = asyncio.create_task(supervisor.start())
    interrupted = asyncio.create_task(stopping.wait())
    await asyncio.wait({starting, interrupted}, return_when=asyncio.FIRST_COMPLETED)
    interrupted.cancel()
    if starting.done():
        starting.result()
        return True
    starting.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await starting
    return False


async def _serve(stack: Layout, supervisor: Supervisor, authority: ca.Authority, stopping: asyncio.Event) -> None:
    care = asyncio.create_task(supervisor.look_after(authority))
    async with control.listening(stack, supervisor.restart):
        await stopping.wait()
    care.cancel()
    await supervisor.stop()


def _signals() -> asyncio.Event:
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    return stopping


def _check_ports(stack: Layout) -> None:
    """Raises: Unusable unless the edge can listen where it is told to."""
    ports = {"TULLE_HTTP_PORT": stack.settings.http_port, "TULLE_HTTPS_PORT": stack.settings.https_port}
    if len(set(ports.values())) == 1:
        raise Unusable(f"{' and '.join(ports)} are both {stack.settings.http_port}; they must differ.")
    for variable, port in ports.items():
        try:
            bind(port)
        except PermissionError as error:
            raise Unusable(f"Port {port} is for root alone; choose one from 1024 upwards with {variable}=…") from error
        except OSError as error:
            raise Unusable(
                f"Port {port} is in use by another program; stop it, or choose another with {variable}=…"
            ) from error


def _renew_proofs(stack: Layout) -> None:
    """The secrets between services and their sidecars are new at each start."""
    for proof in (stack.data / "secrets").glob("*/sidecar"):
        proof.unlink()


def _began() -> float:
    """When this process began (Unix time): what a start imports is part of it. Elsewhere than on Linux: now."""
    try:
        ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    except OSError:
        return time.time()
    return time.time() - (time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / 100)


def reset(stack: Layout) -> None:
    """Forget everything: data, certificates, secrets, logs. Raises: Unusable while the stack runs."""
    with control.lock(stack):
        control.clear_leftovers(stack)
        try:
            shutil.rmtree(stack.data)
        except OSError as error:
            raise Unusable(f"Not all of {stack.data} could be deleted: {error}; look at it and try again.") from error
        _forget_sockets(stack)


def _forget_sockets(stack: Layout) -> None:
    for folder in (stack.run, stack.postgres_socket):
        shutil.rmtree(folder, ignore_errors=True)


def _stop_with_parent() -> None:
    """Have the kernel send SIGTERM when the parent is gone (prctl(2)), where it can."""
    with contextlib.suppress(AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def main() -> None:
    """Run the stack that the settings name, silently."""
    if WITH_PARENT in sys.argv[1:]:
        _stop_with_parent()
    try:
        asyncio.run(run(layout(StackSettings()), lambda supervisor: None, lambda supervisor: None))
    except Unusable as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
