"""The committed files for a cluster, as a real API server and Istio's own linter see them."""

from __future__ import annotations

import asyncio
import json
import subprocess
from pathlib import Path

import pytest
import yaml

from infra.deploy.istio.files import FILES
from infra.istio import control
from infra.istio.control import Place
from infra.settings import development_environment
from services import topology
from tests.e2e.stacks import Stack
from tests.e2e.test_stack import settings_of, tulle

FOLDER = Path(__file__).parent.parent.parent / "infra" / "deploy" / "istio"
OBJECTS = [f"{FOLDER}/{name}.yaml" for name in FILES if name != "mesh"]
# What the stack itself has applied under the same names gives way.
_AS_THE_STACK = ("--server-side", "--force-conflicts", "--field-manager=tulle")


def objects(file: str) -> int:
    """How many there are in a file."""
    return len(list(yaml.safe_load_all(Path(file).read_text())))


def _keda() -> Path:
    """The folder of KEDA's sources, whose hash keda/go.sum has."""
    command = ["go", "mod", "download", "-json", "github.com/kedacore/keda/v2"]
    folder, ours = Path(__file__).parent / "keda", development_environment() | {"GOTOOLCHAIN": "local"}
    found = subprocess.run(command, cwd=folder, env=ours, check=True, capture_output=True)
    return Path(json.loads(found.stdout)["Dir"])


@pytest.fixture
async def scaled(place: Place) -> None:
    """The server knows what KEDA would have told it."""
    definitions = await asyncio.to_thread(_keda) / "config" / "crd" / "bases" / "keda.sh_scaledobjects.yaml"
    await control.kubectl(place, "apply", "--server-side", "-f", str(definitions))
    await control.kubectl(place, "wait", "--for=condition=established", "crd/scaledobjects.keda.sh", "--timeout=30s")


@pytest.mark.usefixtures("scaled")
@pytest.mark.parametrize("file", OBJECTS, ids=lambda file: Path(file).stem)
async def test_the_server_would_take_it(place: Place, file: str) -> None:
    """Each object passes the API server's own validation, without a field that it does not know."""
    options = (*_AS_THE_STACK, "--dry-run=server", "--validate=strict")
    said = await control.kubectl(place, "apply", *options, "-f", file)
    assert said.count("(server dry run)") == objects(file)


async def test_a_misspelt_field_is_refused(place: Place) -> None:
    """The dry run does look: one letter more in an otherwise good file is refused by name."""
    spoilt = (FOLDER / "ingress.yaml").read_text().replace("jwksUri:", "jwksUrii:")
    with pytest.raises(control.Refused, match="jwksUrii"):
        await control.kubectl(
            place, "apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-", given=spoilt
        )


def test_istioctl_finds_nothing_to_complain_about(stack: Stack) -> None:
    """`istioctl analyze` of the files by themselves is clean, down to its remarks."""
    options = ("--use-kube=false", "--failure-threshold", "Info", "-n", topology.NAMESPACE)
    done = tulle(settings_of(stack), "istioctl", "analyze", *options, *OBJECTS)
    assert (done.returncode, "No validation issues found" in done.stdout + done.stderr) == (0, True), done.stdout
