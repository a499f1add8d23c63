"""Messages from a durable pull consumer, as long as the broker shows that it is alive."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

from nats.aio.client import Client
from nats.aio.msg import Msg

from infra import limits

_ENDED = ("404", "408")  # no messages; the request has expired


class ConsumerLost(Exception):
    """The broker is silent about a consumer, or says that it has gone."""


async def pull(client: Client, stream: str, durable: str) -> AsyncIterator[Msg]:
    """All messages of a consumer, each at most ACK_PENDING ahead of its acknowledgement. Raises: ConsumerLost."""
    inbox = client.new_inbox()
    # Not the library's next_msg: it can lose a cancellation (asyncio.wait_for in Python 3.11).
    arrived: asyncio.Queue[Msg] = asyncio.Queue()
    subscription = await client.subscribe(inbox, cb=arrived.put)
    try:
        while True:
            await client.publish(f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{durable}", _request(), reply=inbox)
            async for message in _answers(arrived):
                yield message
    finally:
        if not client.is_closed:
            await subscription.unsubscribe()


def _request() -> bytes:
    wanted = {
        "batch": limits.PULL_BATCH,
        "expires": int(limits.PULL_EXPIRES * 1e9),
        "idle_heartbeat": int(limits.PULL_HEARTBEAT * 1e9),
    }
    return json.dumps(wanted).encode()


async def _answers(arrived: asyncio.Queue[Msg]) -> AsyncIterator[Msg]:
    """Messages until the request is used up."""
    left = limits.PULL_BATCH
    while left:
        try:
            async with asyncio.timeout(2.5 * limits.PULL_HEARTBEAT):
                message = await arrived.get()
        except TimeoutError as error:
            raise ConsumerLost("no heartbeat") from error
        # A message that is stored in the stream has a place to be acknowledged, whatever its headers say.
        if message.reply.startswith("$JS.ACK."):
            left -= 1
            yield message
            continue
        status = (message.headers or {}).get("Status", "")
        if status in _ENDED:
            return
        elif status != "100":
            raise ConsumerLost(f"{status} {(message.headers or {}).get('Description', '')}")
