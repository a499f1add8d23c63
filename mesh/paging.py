"""Page tokens (AIP-158): opaque, and good only for the query that they were made for."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json

from mesh.model import Invalid, Violation

_MAC_BYTES = 16


class BadPageToken(Invalid):
    """The page token does not belong to this query; begin again with the first page."""


class PageTokens:
    """Makes and reads page tokens. They hold where to go on and an HMAC over that and the query.

    `key`: secret of the service; with another key all tokens are bad, and clients begin again.
    """

    def __init__(self, key: str) -> None:
        self._key = key.encode()

    def seal(self, cursor: str, *query: str) -> str:
        """The token for the page after `cursor`; empty when there is none."""
        return _encode(self._mac(cursor, query) + cursor.encode()) if cursor else ""

    def open(self, token: str, *query: str) -> str:
        """The cursor in a token that was sealed for the same `query`; empty for an empty one.

        Raises: BadPageToken.
        """
        if not token:
            return ""
        raw = _decode(token)
        cursor = raw[_MAC_BYTES:].decode(errors="replace")
        if not hmac.compare_digest(raw[:_MAC_BYTES], self._mac(cursor, query)):
            raise _bad()
        return cursor

    def _mac(self, cursor: str, query: tuple[str, ...]) -> bytes:
        return hmac.digest(self._key, json.dumps([cursor, *query]).encode(), hashlib.sha256)[:_MAC_BYTES]


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _decode(token: str) -> bytes:
    try:
        return base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise _bad() from None


def _bad() -> BadPageToken:
    return BadPageToken(violations=(Violation("page_token", "was not made for this query"),))
