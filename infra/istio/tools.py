"""The programs of the control plane, built from the Go modules that infra/gotools pins, and kubectl from a wheel."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from infra import gotools
from infra.local.layout import Unusable

PROGRAMS = {"server": "kubernetes", "kube-apiserver": "kubernetes", "pilot-discovery": "istio", "istioctl": "istio"}
"""Each with the set that brings it. `server` is etcd, `pilot-discovery` istiod."""


def build(tell: Callable[[str], None]) -> None:
    """Build what is not there yet, which takes minutes; `tell` hears of it. Raises: Unusable if it cannot be."""
    kubectl()
    gotools.binaries("kubernetes", tell, ldflags=_version_flags())
    gotools.binaries("istio", tell)


def program(name: str) -> str:
    """One of PROGRAMS. Raises: Unusable if it has not been built."""
    of = PROGRAMS[name]
    file = gotools.folder(of, ldflags=_version_flags() if of == "kubernetes" else gotools.STRIPPED) / name
    if not file.exists():
        raise Unusable(f"{name} has not been built yet; ./tulle up --mesh=istio does it.")
    return str(file)


def kubectl() -> str:
    """The program. Raises: Unusable if the development lock is not installed."""
    beside = Path(sys.executable).with_name("kubectl")
    if not beside.exists():
        raise Unusable("Istio needs kubectl, which the development lock brings: start with ./tulle up --mesh=istio.")
    return str(beside)


def definitions() -> str:
    """Istio's custom resource definitions, as YAML: those of the version that is built here."""
    choice = ("profile=empty", "components.base.enabled=true")
    command = [program("istioctl"), "manifest", "generate", *(f"--set={value}" for value in choice)]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


def _version_flags() -> str:
    """The API server tells its version to clients only if the linker is told."""
    pins = (gotools.ROOT / "kubernetes" / "go.mod").read_text()
    found = re.search(r"k8s\.io/kubernetes v(\d+)\.(\d+)\.(\d+)", pins)
    assert found, "no version of Kubernetes is pinned"
    major, minor, patch = found.groups()
    values = {"gitVersion": f"v{major}.{minor}.{patch}", "gitMajor": major, "gitMinor": minor}
    return " ".join(["-s -w", *(f"-X k8s.io/component-base/version.{name}={value}" for name, value in values.items())])
