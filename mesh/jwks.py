"""The public keys that verify access tokens, kept from auth's key set (RFC 7517)."""

from __future__ import annotations

import asyncio
import contextvars
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import structlog
from joserfc.jwk import ECKey, KeySet

from mesh import limits
from mesh.model import Unauthenticated, Unavailable

Fetch = Callable[[], Awaitable[dict[str, Any]]]
NEVER = float("-inf")

log = structlog.get_logger()


class Keys:
    """A key set and its last good state: in memory while fresh, in `file` for the next start.

    A known key is used while a new set is fetched in the background, and as long as none can be had.
    `clock`: seconds that only grow.
    """

    def __init__(self, fetch: Fetch, file: Path | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._fetch, self._file, self._clock = fetch, file, clock
        self._keys = _saved(file)
        self._fetched = self._tried = NEVER
        self._fetching: asyncio.Task[None] | None = None

    async def key(self, kid: str) -> Any:
        """The public key with this id.

        Raises: Unauthenticated if there is none; Unavailable if that cannot be known.
        """
        if kid in self._keys:
            if self._clock() - self._fetched > limits.KEYS_FRESH:
                self._begin()
            return self._keys[kid]
        if fetching := self._begin():
            # Whoever waits may go away; the fetch is everybody's.
            await asyncio.shield(fetching)
        if kid in self._keys:
            return self._keys[kid]
        if self._fetched < self._tried or self._fetched == NEVER:
            raise Unavailable("The keys that verify tokens cannot be had now; try again.", retry_after=1.0)
        raise Unauthenticated("The access token is signed with an unknown key; log in again.")

    def _begin(self) -> asyncio.Task[None] | None:
        """The fetch that is under way, or a new one unless the last is too short ago."""
        if self._fetching is None and self._clock() - self._tried >= limits.KEYS_PAUSE:
            self._tried = self._clock()
            # In a context of its own: neither the deadline nor the transaction of who happens to ask.
            self._fetching = asyncio.create_task(self._refresh(), context=contextvars.Context())
        return self._fetching

    async def _refresh(self) -> None:
        try:
            found = await self._fetch()
            keys = _by_id(found)
        except Exception as error:
            log.warning("keys not fetched", exc_info=error)
        else:
            self._keys, self._fetched = keys, self._tried
            _save(found, self._file)
        finally:
            self._fetching = None


def _by_id(jwks: Any) -> dict[str, Any]:
    """The keys that can be used: elliptic ones on P-256 with an id. Raises: ValueError if there is none."""
    keys = {key.kid: key for key in KeySet.import_key_set(jwks).keys if isinstance(key, ECKey) and key.kid}
    good = {kid: key for kid, key in keys.items() if key.curve_name == "P-256"}
    if not good:
        raise ValueError("a key set without usable keys")
    return good


def _saved(file: Path | None) -> dict[str, Any]:
    """What the last start left; a missing or broken file is no file."""
    if file is None or not file.exists():
        return {}
    try:
        return _by_id(json.loads(file.read_text()))
    except Exception as error:
        log.warning("saved keys cannot be read", exc_info=error)
        return {}


def _save(jwks: dict[str, Any], file: Path | None) -> None:
    if file is None:
        return
    try:
        new = file.with_suffix(".new")
        new.write_text(json.dumps(jwks))
        new.replace(file)
    except OSError as error:
        log.warning("keys cannot be saved", exc_info=error)
