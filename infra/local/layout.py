"""Where a stack keeps everything: one data folder, one short private folder of sockets, a few ports."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import socket
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from infra.settings import StackSettings
from mesh.contract import DESCRIPTOR_SET
from mesh.envoy import Addresses
from services import topology

FIRST_PORT, LAST_PORT = 20_000, 29_999
"""Inner ports are taken from below the ephemeral range, so that no outgoing connection sits on one."""
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
            sds_dir=str(self.data / "envoy"),
            descriptor_set=str(DESCRIPTOR_SET),
            ports={w.name: self.ports[w.name] for w in topology.WORKLOADS if w.serves},
            http_port=self.settings.http_port,
            https_port=self.settings.https_port,
            public_url=self.public_url,
            trusted_hops=self.settings.trusted_hops,
            trace_ratio=self.settings.trace_ratio,
        )

    def secret(self, workload: str, name: str) -> str:
        """A secret of a workload, made at the first time that it is asked for."""
        path = self.folder("secrets", workload) / name
        if not path.exists():
            write_private(path, secrets.token_urlsafe(32))
        return path.read_text()


def layout(settings: StackSettings, starting: bool = False) -> Layout:
    """The layout of the stack in `settings.data_dir`, its folders made.

    `starting`: nothing of it runs yet, so a port that is taken is taken by others. Raises: Unusable.
    """
    data = settings.data_dir.absolute()
    try:
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        (data / ".writable").touch()
    except OSError as error:
        raise Unusable(
            f"{data} cannot be written ({error.strerror}); set TULLE_DATA_DIR to a folder that can."
        ) from error
    return Layout(settings, data, _run_folder(data), _ports(data, starting))


def write_private(path: Path, text: str) -> None:
    """Write a file that only we can read, whole or not at all."""
    scratch = path.with_name(path.name + ".new")
    with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    scratch.replace(path)


def _run_folder(data: Path) -> Path:
    name = hashlib.sha256(str(data).encode()).hexdigest()[:10]
    run = Path(tempfile.gettempdir()) / f"tulle-{os.getuid()}-{name}"
    if len(str(run / "notifications.admin.sock")) > LONGEST_SOCKET:
        run = Path("/tmp") / run.name  # noqa: S108 (private below; the temporary folder's path is too long)
    run.mkdir(mode=0o700, exist_ok=True)
    status = run.lstat()
    if status.st_uid != os.getuid() or status.st_mode & 0o077 or run.is_symlink():
        raise Unusable(f"{run} is not ours alone; remove it or set TMPDIR to a private folder.")
    return run


def _ports(data: Path, starting: bool) -> Mapping[str, int]:
    """The inner ports: those of last time, unless somebody else took them meanwhile."""
    file = data / "ports.json"
    known: dict[str, int] = json.loads(file.read_text()) if file.exists() else {}
    names = ["nats", "mail", *(w.name for w in topology.WORKLOADS if w.serves)]
    seed = int.from_bytes(hashlib.sha256(str(data).encode()).digest()[:4], "big")
    chosen: dict[str, int] = {}
    for name in names:
        wanted = [known[name]] if name in known and (not starting or free(known[name])) else []
        chosen[name] = next(port for port in (*wanted, *_candidates(seed)) if port not in chosen.values())
    if chosen != known:
        write_private(file, json.dumps(chosen))
    return chosen


def _candidates(seed: int) -> Iterable[int]:
    span = LAST_PORT - FIRST_PORT
    return (port for step in range(span) if free(port := FIRST_PORT + (seed + step) % span))


def free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether nobody listens on the port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True
