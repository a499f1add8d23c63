"""A call ends by its deadline: the client's, but no later than the contract's."""

from __future__ import annotations

import asyncio

from mesh.call import Call, Proceed
from mesh.contract import Method
from mesh.model import DeadlineExceeded


def bounded(method: Method, proceed: Proceed) -> Proceed:
    """Raises: DeadlineExceeded. For a stream it is the longest life."""

    async def step(request: bytes, call: Call) -> bytes:
        if call.remaining() <= 0:
            raise DeadlineExceeded
        try:
            async with asyncio.timeout(call.remaining()) as limit:
                return await proceed(request, call)
        except TimeoutError as error:
            if limit.expired():
                raise DeadlineExceeded from error
            raise

    return step
