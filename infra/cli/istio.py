"""Verbs for a stack on Istio: kubectl and istioctl, pointed at its control plane."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

import typer

from infra.cli.app import app, stack
from infra.cli.development import PASSED_ON
from infra.istio import control, tools
from infra.local.control import running
from infra.local.layout import Unusable
from infra.settings import development_environment


@app.command(context_settings=PASSED_ON)
def kubectl(context: typer.Context) -> None:
    """Look at and change the policies of a stack on Istio: what follows goes to kubectl."""
    sys.exit(_run(tools.kubectl(), context.args))


@app.command(context_settings=PASSED_ON)
def istioctl(context: typer.Context) -> None:
    """Ask about a stack on Istio, such as `analyze`: what follows goes to istioctl."""
    sys.exit(_run(tools.program("istioctl"), context.args))


def _run(program: str, arguments: Sequence[str]) -> int:
    layout = stack()
    config = control.place(layout).kubeconfig
    if not config.exists() or not running(layout):
        raise Unusable("No stack on Istio runs here; start it with ./tulle up --mesh=istio.")
    environment = development_environment() | {"KUBECONFIG": str(config)}
    return subprocess.run([program, *arguments], env=environment, check=False).returncode
