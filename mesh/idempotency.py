"""The same request id has one effect and one answer (AIP-155)."""

from __future__ import annotations

import hashlib
from typing import Any

from mesh.app import Idempotency
from mesh.call import Call, Proceed
from mesh.contract import Method


class Once:
    """Requests that carry a `request_id` go through the port, which carries each out once."""

    def __init__(self, port: Idempotency | None) -> None:
        self._port = port

    def answered(self, method: Method, proceed: Proceed) -> Proceed:
        """Raises: what the port raises for a repeated, reused or unfinished request id."""
        port = self._port
        if port is None or not method.request_id:
            return proceed

        async def step(request: Any, call: Call) -> bytes:
            if not request.request_id:
                return await proceed(request, call)
            digest = hashlib.sha256(_where(call) + request.SerializeToString(deterministic=True)).digest()
            return await port.once(
                call.caller.principal,
                method.path,
                request.request_id,
                digest,
                lambda: proceed(request, call),
                not method.returns_secret,
            )

        return step


def _where(call: Call) -> bytes:
    """The organisation that no request names: the same words in another one are another request."""
    return call.caller.user.organisation_id.encode() if call.caller.user else b""
