"""For whom a call is made: the end user, proven by an access token."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from mesh import limits, policy
from mesh.app import SessionCheck, TokenVerifier
from mesh.call import Call, Proceed, current
from mesh.contract import NONE, REQUIRED, Method
from mesh.model import Unauthenticated
from mesh.tasks import ended


class EndUser:
    """Puts the user into the call. `clock`: Unix time in seconds."""

    def __init__(self, tokens: TokenVerifier, sessions: SessionCheck, clock: Callable[[], float] = time.time) -> None:
        self._tokens, self._sessions, self._clock = tokens, sessions, clock

    def authenticated(self, method: Method, proceed: Proceed) -> Proceed:
        """A token is valid where there is one, and there is one where the contract requires it.

        A stream ends when its token does. Raises: Unauthenticated; Unavailable if keys or sessions cannot be had.
        """
        if method.end_user == NONE:
            return _without_token(proceed)
        serve = self._while_valid(method, proceed) if method.server_streaming else proceed

        async def step(request: bytes, call: Call) -> bytes:
            if call.token:
                return await serve(request, await self._signed_in(call))
            if method.end_user == REQUIRED:
                raise Unauthenticated("This method needs an access token: `authorization: Bearer …`.")
            return await proceed(request, call)

        return step

    async def _signed_in(self, call: Call) -> Call:
        user, expires = await self._tokens.verify(call.token)
        if call.method.fresh:
            user = await self._sessions.check(user)
        call = call.for_user(user, expires)
        current.set(call)
        return call

    def _while_valid(self, method: Method, proceed: Proceed) -> Proceed:
        async def step(request: bytes, call: Call) -> bytes:
            stream = asyncio.ensure_future(proceed(request, call))
            try:
                while not await _done(stream, min(limits.RECHECK, call.expires - self._clock())):
                    await self._check_again(call)
                return stream.result()
            finally:
                await ended(stream)

        return step

    async def _check_again(self, call: Call) -> None:
        if call.expires <= self._clock():
            raise Unauthenticated("The access token has expired; refresh it and open the stream again.")
        if call.method.fresh:
            policy.require_rights(call.method, await self._sessions.check(call.caller.signed_in))


async def _done(stream: asyncio.Future[bytes], within: float) -> bool:
    await asyncio.wait([stream], timeout=max(0.0, within))
    return stream.done()


def _without_token(proceed: Proceed) -> Callable[[bytes, Call], Awaitable[bytes]]:
    """The contract has no end user: a token is not looked at, nor passed on."""

    def step(request: bytes, call: Call) -> Awaitable[bytes]:
        if call.token:
            call = call._replace(token="")
            current.set(call)
        return proceed(request, call)

    return step
