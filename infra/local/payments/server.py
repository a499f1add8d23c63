"""The stand-in's process: `python -m infra.local.payments.server FOLDER PORT SECRETS URL`, on loopback.

SECRETS is a folder with the files `stripe-key` and `stripe-webhook`; webhooks go to URL. Besides Stripe's API there are
`GET /_control` (what is under way), `POST /_control` (set `Faults`) and `GET /_control/journal` (JSON lines), with
the same key.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import BasicAuth, web
from localstripe import resources

from infra.local.payments import additions
from infra.local.payments.hooks import Faults, Sender
from infra.local.payments.state import Answer, State, journal

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
MONEY = ("payment_intent", "refund")
"""Objects whose requests are journalled."""


@dataclass
class _Request:
    """A request that is being handled; what it has set going by itself comes when it is over."""

    over: bool = False


_HANDLED: ContextVar[_Request | None] = ContextVar("handled", default=None)


@dataclass
class Provider:
    """Everything around localstripe's application."""

    folder: Path
    key: str
    faults: Faults = field(default_factory=Faults)
    events: list[Any] = field(default_factory=list)
    lines: list[dict[str, Any]] = field(default_factory=list)
    """Of what happened outside of a request, such as a debit that went through."""
    under_way: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.state = State(self.folder)
        self.wake: Callable[[], None] = lambda: None

    def happened(self, event: Any) -> None:
        """Keep an event for the next commit: of the request that it came of, one of its own, or another's."""
        self.events.append(event)
        if (request := _HANDLED.get()) is None or request.over:
            self.lines.append(_line(event.data["object"], event.type))
        additions.touch(event.data["object"])
        asyncio.get_running_loop().call_soon(self.commit_events)

    def commit_events(self) -> None:
        """Commit what no request has committed."""
        if self.events:
            self.commit([])

    def commit(self, own: list[dict[str, Any]], answer: Answer | None = None) -> None:
        """Commit the effect of a request, whose lines are its `own`, and everything that happened besides."""
        lines = [*self.lines, *own]
        self.lines.clear()
        now = time.time()
        due = now + self.faults.delay
        hooks = [(event.id, json.dumps(event._export()).encode(), due) for event in self.events]
        self.events.clear()
        touched = [key for key in additions.TOUCHED if ":" in key]
        additions.TOUCHED.clear()
        self.state.save(resources.store, touched, now, answer=answer, lines=lines, hooks=hooks)
        self.wake()

    @web.middleware
    async def guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Let in who has the key, or acts as a browser with the secret of one payment; never to localstripe's own."""
        if not (self._has_key(request) or request.path.endswith("/_authenticate")):
            return _refusal(401, "invalid_request_error", "Invalid API key.")
        if request.path.startswith("/_control"):
            return await handler(request)
        if not request.path.startswith("/v1/"):
            return _refusal(404, "invalid_request_error", "There is no such thing.")
        if self.faults.refuse:
            self.faults.refuse -= 1
            return _refusal(503, "api_error", "Refused by a test.")
        return await handler(request) if request.method == "GET" else await self._effect(request, handler)

    def _has_key(self, request: web.Request) -> bool:
        scheme, _, value = request.headers.get("Authorization", "").partition(" ")
        return (BasicAuth.decode(f"Basic {value}").login if scheme == "Basic" else value) == self.key

    async def _effect(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        key, body = request.headers.get("Idempotency-Key", ""), await request.read()
        fingerprint = hashlib.sha256(f"{request.method} {request.path} ".encode() + body).hexdigest()
        if key in self.under_way:
            return _refusal(409, "idempotency_error", "A request with this key is under way.")
        if key and (known := self.state.answer(key, time.time())):
            return _repeated(known, fingerprint)
        self.under_way |= {key} - {""}
        try:
            return await self._once(request, handler, key, fingerprint)
        finally:
            self.under_way.discard(key)

    async def _once(self, request: web.Request, handler: Handler, key: str, fingerprint: str) -> web.StreamResponse:
        handled = _Request()
        _HANDLED.set(handled)
        try:
            response = await handler(request)
        finally:
            handled.over = True
        assert isinstance(response, web.Response) and isinstance(response.body, bytes)
        said = json.loads(response.body)
        # What is refused as malformed has begun nothing: Stripe does not keep that either.
        kept = key and (response.status < 300 or response.status == 402)
        answer = Answer(key, fingerprint, response.status, response.body) if kept else None
        self.commit(_lines(said, request, key, response.status), answer)
        return await self._answered(request, response)

    async def _answered(self, request: web.Request, response: web.Response) -> web.Response:
        if self.faults.cut:
            self.faults.cut -= 1
            assert request.transport
            request.transport.abort()
        await asyncio.sleep(self.faults.stall)
        return response

    async def control(self, request: web.Request) -> web.Response:
        """What is under way, after setting how bad the line is."""
        if request.method == "POST":
            for name, value in (await request.json()).items():
                setattr(self.faults, name, type(getattr(Faults, name))(value))
            self.wake()
        return web.json_response({"faults": asdict(self.faults), "webhooks_waiting": self.state.waiting()})

    async def journal(self, request: web.Request) -> web.Response:
        """Everything that moved money or tried to, as JSON lines."""
        lines = "".join(f"{json.dumps(line)}\n" for line in journal(self.folder))
        return web.Response(text=lines, content_type="application/jsonl")


def _refusal(status: int, kind: str, message: str) -> web.Response:
    return web.json_response({"error": {"type": kind, "message": message}}, status=status)


def _repeated(known: Answer, fingerprint: str) -> web.Response:
    if known.fingerprint != fingerprint:
        return _refusal(400, "idempotency_error", "This key was used with another request.")
    headers = {"Idempotent-Replayed": "true", "Content-Type": "application/json"}
    return web.Response(body=known.body, status=known.status, headers=headers)


def _lines(said: Mapping[str, Any], request: web.Request, key: str, status: int) -> list[dict[str, Any]]:
    what = said.get("error", {}).get("payment_intent", said)
    return [_line(what, f"{request.method} {request.path}", key, status)] if what.get("object") in MONEY else []


def _line(what: Mapping[str, Any], cause: str, key: str = "", status: int = 0) -> dict[str, Any]:
    """One line of the journal: an object as it is after `cause`, a request or an event."""
    kept = ("object", "id", "status", "amount", "currency", "customer", "payment_intent", "metadata")
    line = {name: what[name] for name in kept if name in what}
    return {"at": time.time(), "cause": cause, "idempotency_key": key, "answered": status, **line}


async def serve(folder: Path, port: int, secrets: Path, url: str) -> None:
    """Serve on loopback until SIGTERM."""
    provider = Provider(folder, (secrets / "stripe-key").read_text().strip())
    resources.store.update(provider.state.objects())
    secret = (secrets / "stripe-webhook").read_text().split()[0]
    sender = Sender(provider.state, url, secret, provider.faults)
    provider.wake = sender.woken.set
    runner = web.AppRunner(_application(provider), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    additions.resume()
    await _until_stopped(sender)
    await runner.cleanup()
    provider.state.close()


def _application(provider: Provider) -> web.Application:
    stripe = additions.application(provider.happened)
    stripe.middlewares.insert(0, provider.guard)
    stripe.router.add_route("*", "/_control", provider.control)
    stripe.router.add_get("/_control/journal", provider.journal)
    return stripe


async def _until_stopped(sender: Sender) -> None:
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    sending = asyncio.create_task(sender.run())
    await stopping.wait()
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]), sys.argv[4]))
