"""Where a stack keeps everything: one data folder, one short private folder of sockets, a few ports."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import socket
import stat
import tempfile
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from infra.settings import StackSettings
from mesh.contract import DESCRIPTOR_SET
from mesh.envoy import Addresses
from services import topology

FIRST_PORT, LAST_PORT = 20_000, 29_999
"""Inner ports are taken from below the ephemeral range, so that no outgoing connection sits on one."""
ISTIO_PORTS = ("kubernetes", "istiod", "istiod-http", "istiod-monitoring")
LONGEST_SOCKET = 107
"""Bytes of a Unix socket's path that the kernel takes."""


class Unusable(Exception):
    """A stack cannot run here; the message says why and what to do."""


@dataclass(frozen=True)
class Layout:
    """The folders and ports of one stack."""

    settings: StackSettings
    data: Path
    run: Path
    ports: Mapping[str, int]

    def folder(self, *parts: str) -> Path:
        """A folder of the data folder, private and made if need be."""
        path = self.data.joinpath(*parts)
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        return path

    @property
    def postgres_socket(self) -> Path:
        """PostgreSQL's own folder of sockets: as root it is another user's, who must not see ours."""
        return self.run.with_name(self.run.name + "-pg")

    @property
    def public_url(self) -> str:
        """Where people reach the gateway."""
        return f"http://127.0.0.1:{self.settings.http_port}"

    @property
    def addresses(self) -> Addresses:
        """The same for the Envoys."""
        return Addresses(
            run_dir=str(self.run),
            certs_dir=str(self.data / "certs"),
            secrets_dir=str(self.data / "secrets"),
            envoy_dir=str(self.data / "envoy"),
            descriptor_set=str(DESCRIPTOR_SET),
            ports={w.name: self.ports[w.name] for w in topology.WORKLOADS if w.serves},
            http_port=self.settings.http_port,
            https_port=self.settings.https_port,
            public_url=self.public_url,
            trusted_hops=self.settings.trusted_hops,
            cors_origins=self.settings.cors_origins,
            limiter=str(self.run / "limiter.sock") if self.settings.limits == "shared" else "",
            trace_ratio=self.settings.trace_ratio,
        )

    def secret(self, workload: str, name: str, prefix: str = "") -> str:
        """A secret of a workload, made at the first time that it is asked for; some are known by a prefix."""
        path = self.folder("secrets", workload) / name
        if not path.exists():
            write_private(path, prefix + secrets.token_urlsafe(32))
        return path.read_text()


def layout(settings: StackSettings) -> Layout:
    """The layout of the stack in `settings.data_dir`, which is made. Raises: Unusable."""
    data = settings.data_dir.absolute()
    _claim(data)
    return Layout(settings, data, _run_folder(data), _ports(data, held=True))


def before_start(stack: Layout) -> Layout:
    """The same while nothing of it runs: its folder of sockets made, inner ports that others took replaced.

    Raises: Unusable.
    """
    private_folder(stack.run, [os.getuid()])
    return replace(stack, ports=_ports(stack.data, held=False))


def private_folder(path: Path, owners: Collection[int]) -> None:
    """Make a folder that its owner alone can enter, or see that it is one. Raises: Unusable."""
    try:
        path.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise Unusable(
            f"{path} cannot be made ({error.strerror}); set TMPDIR to a folder that can be written."
        ) from error
    status = path.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid not in owners or status.st_mode & 0o077:
        raise Unusable(f"{path} is not ours alone; remove it or set TMPDIR to a private folder.")


def write_private(path: Path, text: str) -> None:
    """Write a file that only we can read, whole or not at all."""
    scratch = path.with_name(f"{path.name}.{os.getpid()}.new")
    with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    scratch.replace(path)


def bind(port: int, host: str = "127.0.0.1") -> None:
    """Take a port and let it go. Raises: OSError if somebody listens on it, or if it is not for us."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))


def free(port: int) -> bool:
    """Whether nobody listens on the port."""
    try:
        bind(port)
    except OSError:
        return False
    return True


_OURS = {"ports.json", "postgres"}
"""One of these is in every folder that a stack has used."""


def _claim(data: Path) -> None:
    """Take a folder that is new, empty or ours; never one with somebody's files, which `reset` would delete."""
    try:
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        found = list(data.iterdir())
    except OSError as error:
        raise _unwritable(data, str(error.strerror)) from error
    if found and not {path.name for path in found} & _OURS:
        raise Unusable(f"{data} holds other files; set TULLE_DATA_DIR to a folder of its own.")
    if not os.access(data, os.W_OK | os.X_OK):
        raise _unwritable(data, "not ours")
    for path in found:
        # As after one `up` with sudo. What has gone meanwhile was a scratch file of a running stack.
        if not os.access(path, os.R_OK | os.W_OK) and path.exists():
            raise _unwritable(path, "not ours")


def _unwritable(data: Path, why: str) -> Unusable:
    return Unusable(f"{data} cannot be written ({why}); set TULLE_DATA_DIR to a folder that can.")


def _run_folder(data: Path) -> Path:
    name = hashlib.sha256(str(data).encode()).hexdigest()[:10]
    run = Path(tempfile.gettempdir()) / f"tulle-{os.getuid()}-{name}"
    if len(os.fsencode(run / "notifications-worker.sock")) > LONGEST_SOCKET:
        run = Path("/tmp") / run.name  # noqa: S108 (private below; the temporary folder's path is too long)
    return run


def _ports_file(data: Path) -> Path:
    return data / "ports.json"


def _ports(data: Path, held: bool) -> Mapping[str, int]:
    """The inner ports: those of last time. Unless they are `held` by us, they must be free."""
    file = _ports_file(data)
    known = _known_ports(file)
    names = ["nats", "mail", "payments", *ISTIO_PORTS, *(w.name for w in topology.WORKLOADS if w.serves)]
    seed = int.from_bytes(hashlib.sha256(str(data).encode()).digest()[:4], "big")
    chosen: dict[str, int] = {}
    for name in names:
        wanted = [known[name]] if name in known and (held or free(known[name])) else []
        chosen[name] = next(port for port in chain(wanted, _candidates(seed)) if port not in chosen.values())
    if chosen != known:
        write_private(file, json.dumps(chosen))
    return chosen


def _known_ports(file: Path) -> Mapping[str, int]:
    """What was chosen last time; nothing if that cannot be read, for then others will do."""
    try:
        known = json.loads(file.read_text())
    except (OSError, ValueError):
        return {}
    return {name: port for name, port in known.items() if isinstance(port, int)} if isinstance(known, dict) else {}


def _candidates(seed: int) -> Iterable[int]:
    span = LAST_PORT - FIRST_PORT
    return (port for step in range(span) if free(port := FIRST_PORT + (seed + step) % span))
