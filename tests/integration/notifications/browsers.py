"""A browser's side of web push: its keys, how it reads a push, and a push service that keeps what it takes."""

from __future__ import annotations

import http.server
import struct
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from mesh.model import UserId, new_id
from services.notifications.push.domain import Endpoint, Keys


class Browser:
    """Its keys, and how it reads a push (RFC 8291, written from the RFC)."""

    def __init__(self) -> None:
        self.key, self.auth = ec.generate_private_key(ec.SECP256R1()), b"0123456789abcdef"
        self.public = self.key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)

    @property
    def keys(self) -> Keys:
        return Keys(self.public, self.auth)

    def read(self, body: bytes) -> bytes:
        salt, (size, length) = body[:16], struct.unpack("!LB", body[16:21])
        sender, record = body[21 : 21 + length], body[21 + length :]
        assert len(record) <= size
        shared = self.key.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), sender))
        secret = _hkdf(self.auth, shared, b"WebPush: info\0" + self.public + sender, 32)
        key = _hkdf(salt, secret, b"Content-Encoding: aes128gcm\0", 16)
        nonce = _hkdf(salt, secret, b"Content-Encoding: nonce\0", 12)
        plain = AESGCM(key).decrypt(nonce, record, None)
        assert plain.endswith(b"\x02")
        return plain[:-1]


def _hkdf(salt: bytes, secret: bytes, info: bytes, length: int) -> bytes:
    return HKDF(hashes.SHA256(), length, salt, info).derive(secret)


@dataclass
class Service:
    """A push service on this machine: what it heard, and what it says to the next pushes."""

    port: int = 0
    heard: list[tuple[str, Mapping[str, str], bytes]] = field(default_factory=list)
    says: list[tuple[int, Mapping[str, str]]] = field(default_factory=list)
    silent: threading.Event = field(default_factory=threading.Event)
    """While set it takes pushes without an answer."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/send/x"

    def endpoint(self, browser: Browser, url: str = "") -> Endpoint:
        return Endpoint(new_id("endpoint"), UserId("u"), url or self.url, browser.keys, datetime.now(UTC))


@contextmanager
def push_service() -> Iterator[Service]:
    """A push service that runs."""
    made = Service()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            made.heard.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
            if made.silent.is_set():
                self.close_connection = True
                return
            status, headers = made.says.pop(0) if made.says else (201, {})
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        made.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield made
        server.shutdown()
        thread.join()
