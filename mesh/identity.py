"""Which workload calls: proven by our own sidecar, and by nobody else."""

from __future__ import annotations

import functools
import hmac
from collections.abc import Mapping

from mesh.call import Peer
from mesh.model import Unauthenticated
from services import topology

XFCC = "x-forwarded-client-cert"
SECRET = "x-tulle-sidecar"
ADDRESS = "x-tulle-client-address"

_WORKLOADS = {topology.spiffe_id(name): name for name in topology.WORKLOAD}


class NotFromSidecar(Unauthenticated):
    """The call did not come through this service's own sidecar."""


NotFromSidecar.reason = Unauthenticated.reason


class SidecarIdentity:
    """Reads the peer from what the sidecar of `workload` adds to a call, which shows `secret` with it."""

    def __init__(self, workload: str, secret: str) -> None:
        self._own = topology.spiffe_id(workload)
        self._secret = secret.encode()
        self._workload = functools.lru_cache(maxsize=256)(self._parse)

    def peer(self, metadata: Mapping[str, str]) -> Peer:
        """Who calls. Raises: NotFromSidecar."""
        if not hmac.compare_digest(metadata.get(SECRET, "").encode(), self._secret):
            raise NotFromSidecar
        workload = self._workload(metadata.get(XFCC, ""))
        return Peer(workload, metadata.get(ADDRESS, "") if workload == "gateway" else "")

    def _parse(self, header: str) -> str:
        """The caller's name. Exactly one element, whose `By` is this service and whose `URI` a workload."""
        if "," in header or '"' in header:
            raise NotFromSidecar
        pairs = [part.partition("=") for part in header.split(";")]
        found = {key.lower(): value for key, _, value in pairs}
        if len(found) != len(pairs) or found.get("by") != self._own or found.get("uri") not in _WORKLOADS:
            raise NotFromSidecar
        return _WORKLOADS[found["uri"]]
