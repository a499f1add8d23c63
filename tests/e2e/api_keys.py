"""API keys of people who use a running stack, and what a program does with one."""

from __future__ import annotations

from typing import Any

import httpx

from tests.e2e.people import Person

API_KEYS = "/v1/apiKeys"
EXCHANGE = "/v1/auth:exchangeApiKey"


async def make_key(person: Person, *scopes: str, name: str = "nightly export") -> dict[str, Any]:
    """The whole answer: the key and its secret."""
    body = {"name": name, "scopes": scopes, "password": person.password}
    return await person.post(API_KEYS, body, signed_in=True)


async def rotate_key(person: Person, api_key_id: str, **more: object) -> dict[str, Any]:
    body = {"password": person.password, **more}
    return await person.post(f"{API_KEYS}/{api_key_id}:rotate", body, signed_in=True)


async def exchange(person: Person, secret: str) -> httpx.Response:
    """What an exchange comes to; the program is at the person's address."""
    return await person.rest.post(EXCHANGE, json={"apiKey": secret})


async def exchanged(person: Person, secret: str) -> str:
    """The access token that a key is exchanged for."""
    answer = await exchange(person, secret)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["accessToken"])
