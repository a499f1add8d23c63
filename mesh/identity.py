"""Which workload calls: proven by our own sidecar, and by nobody else."""

from __future__ import annotations

import functools
import hmac
from collections.abc import Awaitable, Mapping

from mesh.call import STRANGER, Call, Peer, Proceed
from mesh.contract import Method
from mesh.model import Unauthenticated
from services import topology

XFCC = "x-forwarded-client-cert"
SECRET = "x-tulle-sidecar"  # noqa: S105 (the header's name)
ADDRESS = "x-tulle-client-address"

_WORKLOADS = {topology.spiffe_id(name): name for name in topology.WORKLOAD}


def known(method: Method, proceed: Proceed) -> Proceed:
    """The transport knows the peer. Raises: Unauthenticated."""

    def step(request: bytes, call: Call) -> Awaitable[bytes]:
        if not call.peer.workload:
            raise Unauthenticated("The call did not come through this service's own sidecar.")
        return proceed(request, call)

    return step


class SidecarIdentity:
    """Reads the peer from what the sidecar of `workload` adds to a call, which shows `secret` with it."""

    def __init__(self, workload: str, secret: str) -> None:
        if not secret:
            raise ValueError("the sidecar's secret is empty")
        self._own = topology.spiffe_id(workload)
        self._secret = secret.encode()
        self._workload = functools.lru_cache(maxsize=256)(self._parse)

    def peer(self, metadata: Mapping[str, str]) -> Peer:
        """Who calls; STRANGER if the call does not prove it."""
        if not hmac.compare_digest(metadata.get(SECRET, "").encode(), self._secret):
            return STRANGER
        workload = self._workload(metadata.get(XFCC, ""))
        return Peer(workload, metadata.get(ADDRESS, "") if workload == topology.GATEWAY else "")

    def _parse(self, header: str) -> str:
        """The caller's name, or nothing.

        There must be exactly one element (no comma), in which `By` is this service and `URI` a
        workload, each said once; a quoted value could hide both, and we ask Envoy for none.
        """
        pairs = [part.partition("=") for part in header.split(";")]
        found = {key.lower(): value for key, _, value in pairs}
        good = len(found) == len(pairs) and not {",", '"'} & set(header) and found.get("by") == self._own
        return _WORKLOADS.get(found.get("uri", ""), "") if good else ""
