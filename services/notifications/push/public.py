"""HTTP to public hosts alone: a URL that somebody gave must lead nowhere inside.

The addresses of a host are looked at when a connection is made, and the connection goes to the one that was
looked at: a name that leads elsewhere a moment later changes nothing. Redirects are not followed.
"""

from __future__ import annotations

import asyncio
import socket
from ipaddress import ip_address, ip_network

import httpx

from mesh.model import require
from services.notifications.push.domain import BadEndpoint

_UNICAST = ip_network("2000::/3")
"""What of IPv6 is given to networks: nothing local, no groups, nothing with an address of IPv4 inside (but 6to4)."""
_SPECIAL = tuple(
    map(
        ip_network,
        (
            # https://www.iana.org/assignments/iana-ipv4-special-registry, groups and what is reserved
            "0.0.0.0/8",
            "10.0.0.0/8",
            "100.64.0.0/10",
            "127.0.0.0/8",
            "169.254.0.0/16",
            "172.16.0.0/12",
            "192.0.0.0/24",
            "192.0.2.0/24",
            "192.31.196.0/24",
            "192.52.193.0/24",
            "192.88.99.0/24",
            "192.168.0.0/16",
            "192.175.48.0/24",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "224.0.0.0/3",
            # https://www.iana.org/assignments/iana-ipv6-special-registry, as far as it is unicast
            "2001::/23",
            "2001:db8::/32",
            "2002::/16",
            "2620:4f:8000::/48",
            "3fff::/20",
        ),
    )
)


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
    """Whether an address is somewhere in the internet, and nothing special."""
    found = ip_address(address.partition("%")[0])
    if loopback and found.is_loopback:
        return True
    return (found.version == 4 or found in _UNICAST) and not any(found in network for network in _SPECIAL)
