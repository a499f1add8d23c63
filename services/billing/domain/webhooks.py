"""What the payment provider tells us: believed only as a hint to ask it what became of a charge or refund.

Each event is kept once, in one statement with the question that comes of it, and answered; what it says is not looked
at. The question is for the provider's present state, so that events may come late, doubled and in any order.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from mesh.model import Caller
from services.billing.domain.errors import WebhookForged, WebhookMalformed, WebhookStale
from services.billing.domain.storage import Store

FRESH_FOR = timedelta(minutes=5)
"""Between signing and arriving, either way: a recorded webhook cannot be sent again much later."""
SIGNATURE_LONGEST = 1024
"""Of the header; Stripe's has one or two hundred characters."""
NOTICE_KEPT = timedelta(days=30)
"""So long an event can be sent again from Stripe's dashboard."""
SECRETS_MOST = 2
"""Signing secrets at once: while one is rotated, the new one and the old one."""


@dataclass(frozen=True, slots=True)
class Notice:
    """An event of the provider: about which charge or refund of ours, if any."""

    notice_id: str
    kind: str
    charge_id: str = ""
    refund_id: str = ""


class Webhooks:
    """The use case. `secrets` are asked for anew each time, so that rotating them needs no restart."""

    def __init__(self, store: Store, secrets: Callable[[], Sequence[str]], now: Callable[[], datetime]) -> None:
        self.store = store
        self.secrets = secrets
        self.now = now

    async def receive(self, caller: Caller, body: bytes, signature: str) -> bool:
        """Keep an event; False if it has been kept before. Raises: WebhookForged, WebhookStale, WebhookMalformed."""
        now = self.now()
        verify(body, signature, self.secrets(), now)
        notice = read(body)
        return await self.store.take_notice(caller, notice.notice_id, notice.kind, await self._about(notice), now)

    async def _about(self, notice: Notice) -> str:
        """The charge or refund of ours that it is about, if any: others may use the same account."""
        if notice.charge_id and await self.store.charge(notice.charge_id):
            return notice.charge_id
        if notice.refund_id and await self.store.refund(notice.refund_id):
            return notice.refund_id
        return ""


def verify(body: bytes, signature: str, secrets: Sequence[str], now: datetime) -> None:
    """Check the header `Stripe-Signature` of a body (docs.stripe.com/webhooks#verify-manually).

    Raises: WebhookForged; WebhookStale.
    """
    if len(signature) > SIGNATURE_LONGEST:
        raise WebhookForged
    parts = [part.strip().partition("=") for part in signature.split(",")]
    times = [value for name, _, value in parts if name == "t"]
    if len(times) != 1 or not (times[0].isascii() and times[0].isdecimal() and len(times[0]) <= 12):
        raise WebhookForged
    given = [value.encode() for name, _, value in parts if name == "v1"]
    if not any(hmac.compare_digest(one, ours) for ours in _digests(body, times[0], secrets) for one in given):
        raise WebhookForged
    if abs(now.timestamp() - int(times[0])) > FRESH_FOR.total_seconds():
        raise WebhookStale


def _digests(body: bytes, time: str, secrets: Sequence[str]) -> Iterator[bytes]:
    signed = time.encode() + b"." + body
    for secret in secrets[:SECRETS_MOST]:
        yield hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest().encode()


def read(body: bytes) -> Notice:
    """What an event is about. Raises: WebhookMalformed."""
    try:
        event = json.loads(body)
        what = event["data"]["object"]
        ours = _ours(what)
        return Notice(str(event["id"])[:200], str(event["type"])[:200], **ours)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise WebhookMalformed from error


def _ours(what: Any) -> dict[str, str]:
    """Our id of the object, from its metadata."""
    name = {"payment_intent": "charge_id", "refund": "refund_id"}.get(what["object"])
    found = (what.get("metadata") or {}).get(name)
    return {name: found} if name and isinstance(found, str) else {}
