"""All settings of all processes. The only module that reads the environment (rule: tests/rules).

A setting `x` is the variable `TULLE_X`; secrets are files in `secrets_dir`, never variables.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict


def between_commas(text: object) -> object:
    """A list in a variable, for a setting that is a tuple."""
    return [part.strip() for part in text.split(",") if part.strip()] if isinstance(text, str) else text


Origin = Annotated[str, Field(pattern=r"^https?://[a-z0-9.-]+(:[0-9]{1,5})?$")]
Origins = Annotated[tuple[Origin, ...], NoDecode, BeforeValidator(between_commas)]
Limits = Literal["local", "shared"]
Mesh = Literal["static", "istio"]
Role = Literal["all", "serve", "work"]
Workers = Literal["inside", "own"]
LogLevel = Literal["debug", "info", "warning", "error", "critical"]
Port = Annotated[int, Field(ge=1, le=65535)]
Ratio = Annotated[float, Field(ge=0, le=1)]


class ServiceSettings(BaseSettings):
    """What one service process needs; services subclass it in their main.py with their own."""

    model_config = SettingsConfigDict(env_prefix="TULLE_", frozen=True)

    workload: str
    """Name in services/topology.py; also its PostgreSQL role and schema, its NATS and Valkey user."""
    run_dir: Path
    """Short private folder (0700) of sockets: `<workload>.sock` serves, `<workload>.out.sock` calls."""
    state_dir: Path
    """The process's own folder for what should survive a restart, such as last-good keys."""
    secrets_dir: Path
    """Folder of files: `postgres`, `nats`, `valkey` (passwords), `sidecar`, and the service's own keys."""
    postgres_host: str = "127.0.0.1"
    """Host name, or the folder of a Unix socket."""
    postgres_port: int = 5432
    postgres_database: str = "tulle"
    postgres_connections: int = 8
    nats_url: str = "nats://127.0.0.1:4222"
    valkey_url: str = "redis://127.0.0.1:6379/0"
    """`redis://…` or `unix:///path?db=0`, without credentials."""
    public_url: str = "http://127.0.0.1:8080"
    """Where people reach the gateway: issuer of tokens, links in mails."""
    log_level: LogLevel = "info"
    trace_ratio: Ratio = 0.01
    """Share of new traces that are recorded, 0 to 1; a sampled caller is always followed."""
    role: Role = "all"
    """Whether this process answers calls, works on events, or both."""

    @property
    def listen_socket(self) -> Path:
        """Where the service's gRPC server listens, for its own sidecar only; a worker's is asked for health alone."""
        return self.run_dir / f"{self.workload}{'-worker' if self.role == 'work' else ''}.sock"

    @property
    def outbound_socket(self) -> Path:
        """The sidecar's door to all other services."""
        return self.run_dir / f"{self.workload}.out.sock"

    def secret(self, name: str) -> str:
        """The secret in the file `name`. Raises: FileNotFoundError naming the file."""
        return (self.secrets_dir / name).read_text().strip()


class StackSettings(BaseSettings):
    """What `./tulle up` can be told. Two stacks need different ports and data folders, no more."""

    model_config = SettingsConfigDict(env_prefix="TULLE_", frozen=True)

    http_port: Port = 8080
    """The gateway's plain port, on loopback."""
    https_port: Port = 8443
    """The gateway's TLS port, on loopback."""
    data_dir: Path = Path(__file__).parent.parent / ".tulle"
    """Everything that the stack writes, but for its sockets."""
    trusted_hops: Annotated[int, Field(ge=0, le=16)] = 0
    """Proxies in front of the gateway whose `x-forwarded-for` is believed."""
    cors_origins: Origins = ()
    """Origins whose pages may call the gateway from a browser, with commas between: `https://app.example.com`."""
    passkey_origins: Origins = ()
    """Origins of the pages on which people use passkeys, with commas between; the gateway's if empty."""
    passkey_domain: str = ""
    """The domain that these are in, for which passkeys are made; the first one's host name if empty."""
    limits: Limits = "local"
    """Whether rate limits hold per gateway, or over all of them by a service that counts in Valkey (needs Go once)."""
    workers: Workers = "inside"
    """Whether events are worked on inside the services' processes, or in processes of their own."""
    mesh: Mesh = "static"
    """Who configures the sidecars: files made at the start, or Istio's control plane (needs Go once)."""
    log_level: LogLevel = "info"
    trace_ratio: Ratio = 0.01


def inherited_environment() -> dict[str, str]:
    """What the stack's processes get of its own environment: no settings, no secrets."""
    kept = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "SSL_CERT_FILE", "XDG_CACHE_HOME")
    return {name: os.environ[name] for name in kept if name in os.environ} | {"PYTHONUNBUFFERED": "1"}


def cache_folder() -> Path:
    """Where what can be made again is kept between clones (XDG Base Directory)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tulle"


def choose(name: str, value: str) -> None:
    """Set what a command line says, for us and for the processes that we start."""
    os.environ[f"TULLE_{name.upper()}"] = value


def own_settings() -> dict[str, str]:
    """The settings that we were given, for a stack in the background."""
    return {name: value for name, value in os.environ.items() if name.startswith("TULLE_")}


def development_environment() -> dict[str, str]:
    """Our own environment for tools, which find each other beside our Python."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    # gRPC would prepare for forks that do nothing but start programs, and warn of each.
    return dict(os.environ) | {"PATH": path, "GRPC_ENABLE_FORK_SUPPORT": "0"}
