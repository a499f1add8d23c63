"""The keys of access tokens: made, published before they sign, kept while a token of theirs may live.

Keys begin to sign at times that follow from the first one, so that several processes agree without
talking: whoever comes first makes the key of a time, the others find it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from joserfc import jwt
from joserfc.jwk import ECKey

from infra.limits import limit
from infra.postgres import Database
from mesh.limits import KEYS_FRESH, TOKEN_LIFE
from mesh.model import Error, Unavailable, User, new_id
from mesh.tokens import AUDIENCE, TYPE
from services.auth.domain.entities import SignedIn
from services.auth.domain.ports import Box
from services.auth.store import sql

log = structlog.get_logger(__name__)

KEY_LIFE = limit("SIGNING_KEY_LIFE", 7 * 86400, "s", "How long a key signs; then the next one does.")
PUBLISHED_BEFORE = limit(
    "KEY_PUBLISHED_BEFORE", int(2 * KEYS_FRESH), "s", "Twice as long as verifiers keep a key set, so that all know it."
)
KEPT_AFTER = limit("KEY_KEPT_AFTER", 2 * TOKEN_LIFE, "s", "Until the last token that a key signed has expired.")
LOOK_EVERY = limit("KEY_LOOK_EVERY", 30.0, "s", "Between two looks at the table: a key is known long before it signs.")


@dataclass(frozen=True, slots=True)
class SigningKey:
    """One key pair; it signs from `sign_from` until the next one does."""

    sign_from: datetime
    kid: str
    public: dict[str, Any]
    private: ECKey


class KeyRing:
    """A `services.auth.domain.ports.Signer`, and the key set that everybody verifies with."""

    def __init__(self, database: Database, box: Box, issuer: str, now: Callable[[], datetime]) -> None:
        self._database, self._box, self._issuer, self._now = database, box, issuer, now
        self._keys: tuple[SigningKey, ...] = ()

    async def run(self) -> None:
        """Keep the keys up to date until cancelled."""
        while True:
            try:
                await self.refresh()
            except Error as error:
                log.warning("keys_not_refreshed", exc_info=error)
                await asyncio.sleep(1)
                continue
            await asyncio.sleep(LOOK_EVERY)

    async def refresh(self) -> None:
        """Make the keys that are due, forget those that nobody needs, read the others."""
        now = self._now()
        keys = await self._read()
        newest = keys[0].sign_from if keys else None
        for sign_from in _due(newest, now):
            await self._make(sign_from)
        async with self._database.connection() as connection:
            await sql.drop_keys(connection, expired=now - timedelta(seconds=KEPT_AFTER))
        self._keys = tuple(await self._read())

    async def ready(self) -> None:
        """Raises: Unavailable until there is a key."""
        self._signing()

    async def access_token(self, signed_in: SignedIn) -> tuple[str, int]:
        """A signed token (RFC 9068) and its life in seconds. Raises: Unavailable."""
        session = signed_in.session
        return self._signed(User(session.user_id, signed_in.organisation_id, session.session_id, signed_in.roles))

    async def key_token(self, user: User) -> tuple[str, int]:
        """The same for whom an API key acts, with the claim `scopes`. Raises: Unavailable."""
        return self._signed(user, scopes=sorted(user.scopes or ()))

    def _signed(self, user: User, **more: object) -> tuple[str, int]:
        key, now = self._signing(), int(self._now().timestamp())
        claims = {
            "iss": self._issuer,
            "aud": AUDIENCE,
            "sub": user.user_id,
            "org": user.organisation_id,
            "sid": user.session_id,
            "roles": sorted(user.roles),
            **more,
            "iat": now,
            "exp": now + TOKEN_LIFE,
            "jti": new_id("token"),
        }
        header = {"alg": "ES256", "typ": TYPE, "kid": key.kid}
        return jwt.encode(header, claims, key.private, algorithms=["ES256"]), TOKEN_LIFE

    async def jwks(self) -> dict[str, Any]:
        """The public keys (RFC 7517), newest first. Raises: Unavailable until there is one."""
        self._signing()
        return {"keys": [key.public for key in self._keys]}

    def _signing(self) -> SigningKey:
        now = self._now()
        key = next((key for key in self._keys if key.sign_from <= now), None)
        if key is None:
            raise Unavailable("There is no key to sign with yet; try again in a moment.", retry_after=1.0)
        return key

    async def _read(self) -> list[SigningKey]:
        async with self._database.connection() as connection:
            return [self._opened(row) async for row in sql.get_keys(connection)]

    def _opened(self, row: Any) -> SigningKey:
        private = ECKey.import_key(self._box.open(row["private_sealed"], f"key:{row['kid']}"))
        return SigningKey(row["sign_from"], row["kid"], json.loads(row["public_jwk"]), private)

    async def _make(self, sign_from: datetime) -> None:
        kid = new_id("key")
        key = ECKey.generate_key("P-256", parameters={"kid": kid, "alg": "ES256", "use": "sig"})
        async with self._database.connection() as connection:
            await sql.put_key(
                connection,
                sign_from=sign_from,
                kid=kid,
                public_jwk=json.dumps(key.as_dict(private=False)),
                private_sealed=self._box.seal(key.as_pem(private=True), f"key:{kid}"),
            )
        log.info("key_made", kid=kid, sign_from=sign_from.isoformat())


def _due(newest: datetime | None, now: datetime) -> list[datetime]:
    """When the keys begin to sign that must be made now."""
    if newest is None:
        return [_slot(now)]
    following = newest + timedelta(seconds=KEY_LIFE)
    if now >= following - timedelta(seconds=PUBLISHED_BEFORE):
        # After a long sleep the next key still waits until everybody may know it.
        return [max(following, _slot(now) + timedelta(seconds=PUBLISHED_BEFORE))]
    return []


def _slot(now: datetime) -> datetime:
    """The minute in which `now` is: processes that start together find the same."""
    return now.replace(second=0, microsecond=0)
