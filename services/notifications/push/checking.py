"""What an endpoint must be like before anything is sent there."""

from __future__ import annotations

from ipaddress import ip_address

import httpx

from mesh.model import Violation
from services.notifications.push.domain import BadEndpoint, Check, Keys
from services.notifications.push.encryption import is_public_key
from services.notifications.push.public import allowed_scheme, is_public


def checked(*, loopback: bool) -> Check:
    """What refuses an endpoint. A host's addresses are looked at at each push, since they change."""

    def check(url: str, keys: Keys) -> None:
        violations = [
            *([] if _good_url(url, loopback=loopback) else [Violation("url", "is not https at a public host")]),
            *([] if is_public_key(keys.p256dh) else [Violation("p256dh", "is no public key of P-256")]),
            *([] if len(keys.auth) == 16 else [Violation("auth", "is not 16 bytes long")]),
        ]
        if violations:
            raise BadEndpoint(violations=tuple(violations))

    return check


def _good_url(text: str, *, loopback: bool) -> bool:
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL:
        return False
    public = not _is_address(url.host) or is_public(url.host, loopback=loopback)
    return public and allowed_scheme(url, loopback=loopback)


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
