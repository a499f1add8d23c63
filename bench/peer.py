"""The peer of the REST read: the same work as a FastAPI team would write it.

One process of uvicorn (uvloop, httptools) with asyncpg: the JWT verified (and cached by its hash, as
ours is), limited per user and per address, the very same SQL through a pool of the same size, the
same JSON. No mesh, no gateway: what the difference buys is in docs/benchmarks.md.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Any

import asyncpg
from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse
from joserfc import jwt
from joserfc.jwk import KeySet
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """What the benchmark tells the peer."""

    model_config = SettingsConfigDict(env_prefix="TULLE_PEER_")

    postgres: str
    sql: str
    jwks: str
    issuer: str
    connections: int = 8


@dataclass(slots=True)
class Bucket:
    """A token bucket."""

    tokens: float
    at: float


class Limiter:
    """Buckets by key, each of `size`, filled once in `per` seconds; at most 100,000 of them."""

    def __init__(self, size: int, per: float) -> None:
        self.size, self.rate, self.buckets = size, size / per, dict[str, Bucket]()

    def allow(self, key: str) -> bool:
        now = time.monotonic()
        bucket = self.buckets.get(key)
        if bucket is None:
            if len(self.buckets) >= 100_000:
                self.buckets.pop(next(iter(self.buckets)))
            bucket = self.buckets[key] = Bucket(tokens=self.size, at=now)
        bucket.tokens = min(self.size, bucket.tokens + (now - bucket.at) * self.rate)
        bucket.at = now
        if bucket.tokens < 1:
            return False
        bucket.tokens -= 1
        return True


settings = Settings.model_validate({})  # all of it comes from the environment that the benchmark sets
keys = KeySet.import_key_set(json.loads(settings.jwks))
claims_of = jwt.JWTClaimsRegistry(
    iss={"essential": True, "value": settings.issuer}, aud={"essential": True, "value": "tulle"}, leeway=5
)
verified: dict[bytes, dict[str, Any]] = {}
per_user, per_address = Limiter(600, 60), Limiter(3000, 60)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """The pool lives as long as the application."""
    app.state.pool = await asyncpg.create_pool(
        settings.postgres, min_size=settings.connections, max_size=settings.connections
    )
    yield
    await app.state.pool.close()


app = FastAPI(lifespan=lifespan)


def user(request: Request) -> str:
    """The signed-in user, verified and limited."""
    assert request.client
    if not per_address.allow(request.client.host):
        raise HTTPException(429)
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        raise HTTPException(401)
    claims = _claims(token)
    if not per_user.allow(claims["sub"]):
        raise HTTPException(429)
    return str(claims["sub"])


def _claims(token: str) -> dict[str, Any]:
    digest = hashlib.sha256(token.encode()).digest()
    claims = verified.get(digest)
    if claims is None:
        try:
            claims = jwt.decode(token, keys, algorithms=["ES256"]).claims
            claims_of.validate(claims)
        except Exception as error:
            raise HTTPException(401) from error
        if len(verified) >= 10_000:
            verified.pop(next(iter(verified)))
        verified[digest] = claims
    if claims["exp"] + 5 < time.time():
        raise HTTPException(401)
    return claims


@app.get("/v1/users/me")
async def profile(user_id: Annotated[str, Depends(user)]) -> JSONResponse:
    """The caller's profile, with the fields and names that the gateway answers."""
    row = await app.state.pool.fetchrow(settings.sql, user_id)
    if row is None:
        raise HTTPException(404)
    return JSONResponse(
        {
            "userId": row["user_id"],
            "displayName": row["display_name"],
            "handle": row["handle"] or "",
            "locale": row["locale"],
            "timeZone": row["time_zone"],
            "avatarUrl": row["avatar_url"],
            "etag": str(row["version"]),
            "createTime": row["create_time"].isoformat(),
            "updateTime": row["update_time"].isoformat(),
        }
    )
