"""HTTP to public hosts alone: a URL that somebody gave must lead nowhere inside.

The addresses of a host are looked at when a connection is made, and the connection goes to the one that was
looked at: a name that leads elsewhere a moment later changes nothing. Redirects are not followed.
"""

from __future__ import annotations

import asyncio
import socket
from ipaddress import ip_address

import httpx

from mesh.model import require
from services.notifications.push.domain import BadEndpoint


class PublicOnly(httpx.AsyncBaseTransport):
    """Sends where `allowed` says. `inner`: what sends; `loopback`: this machine counts as public, for tests."""

    def __init__(self, inner: httpx.AsyncBaseTransport, *, loopback: bool = False) -> None:
        self._inner, self._loopback = inner, loopback

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        require(allowed_scheme(url, loopback=self._loopback), BadEndpoint)
        address = await self._address(url.host, url.port or (443 if url.scheme == "https" else 80))
        request.url = url.copy_with(host=address)
        # The certificate is looked at for the name; the header `host` has it already.
        request.extensions = {**request.extensions, "sni_hostname": url.host}
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def _address(self, host: str, port: int) -> str:
        """Raises: BadEndpoint unless all addresses of the host are allowed; httpx.ConnectError if it has none."""
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise httpx.ConnectError(f"no address: {error}") from error
        addresses = [str(row[4][0]) for row in found]
        require(all(is_public(one, loopback=self._loopback) for one in addresses), BadEndpoint)
        return addresses[0]


def allowed_scheme(url: httpx.URL, *, loopback: bool) -> bool:
    """https at its own port, without credentials; plain and at any port on this machine if it counts as public."""
    if url.userinfo or not url.host:
        return False
    if loopback and url.host in ("127.0.0.1", "localhost"):
        return url.scheme in ("http", "https")
    return url.scheme == "https" and url.port in (None, 443)


def is_public(address: str, *, loopback: bool = False) -> bool:
    """Whether an address is somewhere in the internet (IANA's registries of special addresses)."""
    found = ip_address(address.partition("%")[0])
    inside = getattr(found, "ipv4_mapped", None) or getattr(found, "sixtofour", None) or found
    if loopback and inside.is_loopback:
        return True
    return inside.is_global and found.is_global and not (inside.is_multicast or inside.is_reserved)
