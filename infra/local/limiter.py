"""The rate-limit service that gateways share: envoyproxy/ratelimit, counting in Valkey."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from gateway import shared_limits
from gateway.routes import offered
from infra.gotools import binaries
from infra.local.layout import write_private
from mesh.contract import Contract

NAME = "limiter"


def configure(folder: Path, contract: Contract) -> None:
    """Write the limits of the contract where the service looks for them."""
    config = folder / NAME / "config"
    config.mkdir(parents=True, exist_ok=True, mode=0o700)
    # JSON is YAML.
    write_private(config / "limits.yaml", json.dumps(shared_limits.configuration(offered(contract)), indent=1))


def build(tell: Callable[[str], None]) -> Path:
    """The program, built if need be; `tell` hears of it. Raises: Unusable if it cannot be built."""
    return binaries("ratelimit", tell) / "service_cmd"


def check() -> None:
    """Raises: Unusable if the program is not there and cannot be built."""
    build(lambda text: None)


def command() -> list[str]:
    """How the service is started, in the foreground."""
    return [str(build(lambda text: None))]


def environment(folder: Path, socket: Path, valkey: Path, password: str) -> Mapping[str, str]:
    """Its settings: all that it serves is on `socket`, but for an HTTP and a debug port on loopback, by chance."""
    return {
        "GRPC_UDS": str(socket),
        "HOST": "127.0.0.1",
        "PORT": "0",
        "DEBUG_HOST": "127.0.0.1",
        "DEBUG_PORT": "0",
        "RUNTIME_ROOT": str(folder),
        "RUNTIME_SUBDIRECTORY": NAME,
        "RUNTIME_WATCH_ROOT": "false",
        "BACKEND_TYPE": "redis",
        "REDIS_SOCKET_TYPE": "unix",
        "REDIS_URL": str(valkey),
        "REDIS_AUTH": f"{NAME}:{password}",
        "REDIS_TIMEOUT": "40ms",
        "CACHE_KEY_PREFIX": f"{NAME}:",
        "EXPIRATION_JITTER_MAX_SECONDS": "0",
        "DISABLE_STATS": "true",
        "LOG_LEVEL": "warn",
        "LOG_FORMAT": "json",
    }
