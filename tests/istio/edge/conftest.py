"""The mesh of tests/integration/envoy, only that istiod configures its gateway as it does a cluster's ingress."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

import pytest

from infra import ca
from infra.deploy.istio.policies import policies
from infra.istio import control, manifests, tools
from infra.istio.bootstrap import bootstrap
from infra.local.istio import envoy_command
from infra.local.layout import ISTIO_PORTS
from infra.local.unit import listening, listening_on
from mesh import envoy, sds
from services.topology import GATEWAY
from tests.e2e.stacks import PATIENCE
from tests.integration.envoy.conftest import mesh
from tests.integration.envoy.rig import Rig, free_ports, rig

__all__ = ["mesh"]

Ready = Callable[[], Awaitable[None]]


class IngressRig(Rig):
    """Its gateway has from a file only where istiod is."""

    def start(self, workload: str) -> None:
        if workload != GATEWAY:
            return super().start(workload)
        if "istiod" not in self.processes:
            asyncio.run(self._control_plane())
        file = Path(self.addresses.envoy_dir, "ingress.yaml")
        config = bootstrap(GATEWAY, self.contract, self.addresses, self._place.ports["istiod"])
        file.write_text(envoy.dump(config))
        asyncio.run(self._run(GATEWAY, envoy_command(file), partial(listening_on, self.addresses.https_port)))
        return self._await_ready(GATEWAY)

    async def _control_plane(self) -> None:
        place = self._place = self._new_place()
        await self._run("etcd", control.etcd_command(place), partial(listening, place.etcd))
        control.configure_kubernetes(place)
        await self._run(control.NAME, control.kubernetes_command(place), partial(control.kubernetes_ready, place))
        await self._tell(place)
        istiod = control.istiod_command(place)
        await self._run("istiod", istiod, partial(control.istiod_ready, place), control.ISTIOD_SETTINGS)
        certificates = [sys.executable, "-m", "mesh.sds", self.addresses.certs_dir, self.addresses.run_dir]
        socket = sds.socket(Path(self.addresses.run_dir), GATEWAY)
        await self._run("sds", [*certificates, f"{GATEWAY}+edge"], partial(listening, socket))

    def _new_place(self) -> control.Place:
        folder, certs = Path(self.addresses.run_dir, "istio"), self.certs(control.NAME)
        folder.mkdir(mode=0o700)
        ca.issue(self.authority, certs, ["localhost", "127.0.0.1"])
        ports = dict(zip(ISTIO_PORTS, free_ports(len(ISTIO_PORTS)), strict=True))
        return control.Place(folder, certs, folder / "etcd.sock", ports, "a-token")

    async def _tell(self, place: control.Place) -> None:
        control.configure_istiod(place, json.dumps(manifests.mesh()))
        await control.define(place)
        objects = [*manifests.manifests(self.contract, self.addresses), *policies(self.contract)]
        await control.apply(place, envoy.dump_all(objects))

    async def _run(self, name: str, command: list[str], ready: Ready, own: Mapping[str, str] = {}) -> None:
        with self._log(name).open("ab") as log:
            self.processes[name] = subprocess.Popen(  # noqa: ASYNC220 (starting it takes no time)
                command, stdout=log, stderr=log, env=os.environ | own
            )
        until = time.monotonic() + PATIENCE
        while True:
            try:
                return await ready()
            except (OSError, ValueError):
                assert time.monotonic() < until and self.processes[name].poll() is None, self.log(name)[-2000:]
            await asyncio.sleep(0.05)


@pytest.fixture(scope="session")
def stack() -> Iterator[Rig]:
    """One for all tests here."""
    tools.build(print)
    with rig(kind=IngressRig) as made:
        yield made
        # Whoever died unasked says why, before its log goes with the rest.
        gone = [name for name, process in made.processes.items() if process.poll() is not None]
        assert not gone, "\n".join(made.log(name)[-2000:] for name in gone)
