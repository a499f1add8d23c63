"""The operator's way into the mesh: the workload `operator`, with a certificate like any other."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from infra import ca
from infra.local import control
from infra.local.layout import Layout
from mesh.channel import Channel, open_mutual


@contextlib.asynccontextmanager
async def calling(layout: Layout, workload: str) -> AsyncIterator[Channel]:
    """A channel to the sidecar of `workload`, as the operator. Raises: NotRunning."""
    control.supervisor(layout)
    identity = ca.read(layout.data / "certs" / "operator")
    target = f"127.0.0.1:{layout.ports[workload]}"
    async with open_mutual(target, workload, identity.authority, identity.key, identity.certificate) as channel:
        yield channel
